import { setTimeout as pause } from 'node:timers/promises'
import { clientV1, clientV2, signIn, type TestClient } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { type PythonStep, runPythonClient } from '../harness/python-client.ts'

/** What a real MCP client made of a run. */
export interface ClientStory {
  name: string
  user: string
  /** An SDK client with a session, whose ids are below. */
  isLegacySdk: boolean
  /** Calls during the run that were answered rightly, and that failed; how, in the client's words. */
  right: number
  failed: string[]
  /** Whether its user was asked to sign in after the first time. */
  askedAgain: boolean
  /** Its legacy session ids: one, or none in the modern revision. */
  sessions: string[]
  /** What its call after the run brought. */
  lastly: string
}

/** Real MCP clients at work. */
export interface ClientsAtWork {
  /** Takes the access tokens of the SDK clients from them, so that each refreshes at its next call. */
  refresh(): void
  end(): Promise<ClientStory[]>
}

/** Real MCP clients, signed in, which call once a second until `end` and once more after it. */
export async function startClients(mcpUrl: string): Promise<ClientsAtWork> {
  let isOver = false
  const over = () => isOver
  const sdk = [
    { user: 'v1', make: (provider: TestOAuthProvider) => clientV1(mcpUrl, provider) },
    { user: 'v2-legacy', make: (provider: TestOAuthProvider) => clientV2(mcpUrl, provider, 'legacy') },
    { user: 'v2-modern', make: (provider: TestOAuthProvider) => clientV2(mcpUrl, provider, { pin: '2026-07-28' }) },
  ]
  const signedIn = await Promise.all(
    sdk.map(async ({ user, make }) => {
      const provider = new TestOAuthProvider({ kind: 'dynamic' })
      const client = make(provider)
      await signIn(client, provider, user)
      provider.authorizationUrl = undefined
      return { user, provider, client }
    }),
  )
  let connected = 0
  let allConnected: () => void = () => undefined
  const ready = new Promise<void>((resolve) => {
    allConnected = resolve
  })
  const python = ['legacy', 'auto'].map((mode) =>
    pythonStory(mcpUrl, mode, over, () => {
      if (++connected === 2) allConnected()
    }),
  )
  const failed = Promise.all(python).then(() => undefined)
  await Promise.race([ready, failed])
  const stories = signedIn.map((one) => sdkStory(one, over))
  return {
    refresh() {
      for (const { provider } of signedIn) provider.breakAccessToken()
    },
    async end() {
      isOver = true
      return Promise.all([...stories, ...python])
    },
  }
}

async function sdkStory(
  { user, provider, client }: { user: string; provider: TestOAuthProvider; client: TestClient },
  over: () => boolean,
): Promise<ClientStory> {
  const story: ClientStory = { name: client.name, user, isLegacySdk: user !== 'v2-modern', right: 0, failed: [], askedAgain: false, sessions: [], lastly: '' }
  const call = () => client.callTool('whoami').then(({ text, isError }) => (isError ? `error: ${text}` : text), String)
  while (!over()) {
    const said = await call()
    if (said === user) story.right++
    else story.failed.push(said)
    await pause(1_000)
  }
  story.lastly = await call()
  story.askedAgain = provider.authorizationUrl !== undefined
  const posts = client.exchanges.filter(({ url, status }) => url.pathname === '/mcp' && status === 200)
  story.sessions = [...new Set(posts.flatMap(({ requestHeaders }) => requestHeaders.get('mcp-session-id') ?? []))]
  await client.close()
  return story
}

const turns = 90

/** fastmcp does the steps that it is given, so it gets more than it needs and is fast once the run is over. */
async function pythonStory(mcpUrl: string, mode: string, over: () => boolean, onConnected: () => void): Promise<ClientStory> {
  const turn: PythonStep[] = [{ do: 'call', tool: 'whoami' }, { do: 'pause' }]
  const steps: PythonStep[] = [{ do: 'connect' }, { do: 'call', tool: 'whoami' }, { do: 'pause' }, ...Array.from({ length: turns }, () => turn).flat()]
  const user = `python-${mode}`
  let pauses = 0
  const { outcomes, browserVisits } = await runPythonClient(mcpUrl, [...steps, { do: 'expire' }, { do: 'call', tool: 'whoami' }], {
    user,
    mode,
    timeoutMs: 200_000,
    async onPause() {
      if (pauses++ === 0) onConnected()
      if (!over()) await pause(1_000)
    },
  })
  const calls = outcomes
    .filter((outcome) => outcome.do === 'call')
    .map(({ text, isError, error, message }) => (error ? `${error}: ${message}` : isError ? `error: ${text}` : (text ?? '')))
  return {
    name: `fastmcp ${mode}`,
    user,
    isLegacySdk: false,
    right: calls.filter((said) => said === user).length,
    failed: calls.filter((said) => said !== user),
    askedAgain: browserVisits.length > 1,
    sessions: [],
    lastly: calls.at(-1) ?? '',
  }
}
