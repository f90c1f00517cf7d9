import { Client as ClientV2, StreamableHTTPClientTransport as TransportV2, UnauthorizedError as UnauthorizedV2 } from '@modelcontextprotocol/client'
import { UnauthorizedError as UnauthorizedV1 } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Browser, callbackOf } from './browser.ts'
import { asProvider, type TestOAuthProvider } from './oauth-provider.ts'
import { type Exchange, type Fetch, recordingFetch } from './recorder.ts'

/** How SDK v2 chooses the protocol revision. */
export type Mode = 'legacy' | 'auto' | { pin: string }

/** What a tool call brought, in the words the model would see. */
export interface ToolAnswer {
  text: string
  isError: boolean
}

/** What a host does when it is asked to let its user open a link; with it a client declares URL elicitation. */
export type OpenLink = (link: { url: string; message: string }) => Promise<'accept' | 'decline' | 'cancel'>

/** What the tests do with a client, whichever SDK it is. */
export interface TestClient {
  readonly name: string
  /** Connects; rejects with an unauthorized error (see {@link isUnauthorized}) when the user has to sign in first. */
  connect(): Promise<void>
  /** Hands the callback's parameters to the SDK; `connect` again afterwards. */
  finishAuth(callback: URLSearchParams): Promise<void>
  listTools(): Promise<string[]>
  callTool(
    name: string,
    args?: Record<string, unknown>,
    options?: { signal?: AbortSignal; onprogress?: (progress: { progress: number }) => void },
  ): Promise<ToolAnswer>
  revision(): string | undefined
  close(): Promise<void>
  /** HTTP exchanges so far, of all connects. */
  readonly exchanges: Exchange[]
}

/** Whether an SDK says that the user has to sign in. */
export function isUnauthorized(error: unknown): boolean {
  return error instanceof UnauthorizedV1 || error instanceof UnauthorizedV2
}

/** Whether a promise ends with an SDK's word that the user has to sign in; any other end is passed on or is false. */
export async function asksToSignIn(outcome: Promise<unknown>): Promise<boolean> {
  return outcome.then(
    () => false,
    (error: unknown) => {
      if (isUnauthorized(error)) return true
      throw error
    },
  )
}

/** Takes a client through sign-in as a user would, and connects it. */
export async function signIn(client: TestClient, provider: TestOAuthProvider, user: string): Promise<void> {
  if (!(await asksToSignIn(client.connect()))) throw new Error('the client was connected without signing in')
  if (provider.authorizationUrl === undefined) throw new Error('the client has no authorization URL')
  const callback = callbackOf(await new Browser(provider.redirectUrl).authorize(provider.authorizationUrl, { user }))
  if (!provider.isOurs(callback)) throw new Error('the callback carries another state')
  await client.finishAuth(callback)
  await client.connect()
}

function answerOf(result: object): ToolAnswer {
  const { content, isError } = result as { content?: { text?: string }[]; isError?: boolean }
  return { text: (content ?? []).map((part) => part.text ?? '').join('\n'), isError: isError === true }
}

/** A client of SDK v2. `wire` is what its requests go through. */
export function clientV2(url: string, provider: TestOAuthProvider, mode: Mode = 'auto', openLink?: OpenLink, wire?: Fetch): TestClient {
  const { fetch, exchanges } = recordingFetch(wire)
  let transport = new TransportV2(new URL(url), { authProvider: asProvider(provider), fetch })
  let client: ClientV2 | undefined
  return {
    name: `SDK v2 ${typeof mode === 'string' ? mode : mode.pin}`,
    exchanges,
    async connect() {
      transport = new TransportV2(new URL(url), { authProvider: asProvider(provider), fetch })
      const capabilities = openLink === undefined ? {} : { capabilities: { elicitation: { url: {} } } }
      client = new ClientV2({ name: 'test-client', version: '1.0.0' }, { versionNegotiation: { mode }, ...capabilities })
      if (openLink) client.setRequestHandler('elicitation/create', async ({ params }) => ({ action: await openLink(asked(params)) }))
      await client.connect(transport)
    },
    finishAuth: (callback) => transport.finishAuth(callback),
    listTools: async () => (await present(client).listTools()).tools.map((tool) => tool.name),
    callTool: async (name, args = {}, options = {}) => answerOf(await present(client).callTool({ name, arguments: args }, options)),
    revision: () => client?.getNegotiatedProtocolVersion(),
    close: async () => client?.close(),
  }
}

/** A client of SDK v1. It has no way to ask its user by itself: its app reads the link from the error of a call. */
export function clientV1(url: string, provider: TestOAuthProvider, capabilities: object = {}, wire?: Fetch): TestClient {
  const { fetch, exchanges } = recordingFetch(wire)
  const options = { authProvider: provider as never, fetch }
  let transport = new TransportV1(new URL(url), options)
  let client: ClientV1 | undefined
  return {
    name: 'SDK v1',
    exchanges,
    async connect() {
      transport = new TransportV1(new URL(url), options)
      client = new ClientV1({ name: 'test-client', version: '1.0.0' }, { capabilities })
      await client.connect(transport as never)
    },
    finishAuth: (callback) => transport.finishAuth(callback.get('code') ?? ''),
    listTools: async () => (await present(client).listTools()).tools.map((tool) => tool.name),
    callTool: async (name, args = {}, options = {}) => answerOf(await present(client).callTool({ name, arguments: args }, undefined, options)),
    revision: () => transport.protocolVersion,
    close: async () => client?.close(),
  }
}

function asked(params: object): { url: string; message: string } {
  const { mode, url, message } = params as { mode?: string; url?: string; message?: string }
  if (mode !== 'url' || url === undefined || message === undefined) throw new Error(`not a link: ${JSON.stringify(params)}`)
  return { url, message }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('connect first')
  return value
}
