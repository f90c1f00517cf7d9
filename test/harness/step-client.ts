import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ensureGoClients } from '../../scripts/go-toolchain.mjs'
import { ensurePythonEnv } from '../../scripts/python-env.mjs'
import { Browser, callbackOf } from './browser.ts'

/** The clients of other languages that take steps: Python mcp 1 and 2, github.com/modelcontextprotocol/go-sdk, github.com/mark3labs/mcp-go. */
export type StepClientName = 'mcp-1' | 'mcp-2' | 'go-sdk' | 'mcp-go'

/** Who the client is. */
export interface StepClientSettings {
  url: string
  /** The user of the browser that the client opens. */
  user: string
  /** Check boxes that the user switches off at the first consent, by name. */
  unticked?: string[]
  /** Of the client's own callback; nothing listens there, since the browser of the tests stops before it. */
  redirectUri?: string
  /** A client id metadata document instead of a registration. */
  documentUrl?: string
  /** `token_endpoint_auth_method` of the registration; left out of it when left out here. mcp-go always says `none`. */
  authMethod?: 'none' | 'client_secret_basic' | 'client_secret_post'
  /** Scopes that the app tells mcp-go or go-sdk to ask for; Python chooses them by itself. */
  scopes?: string[]
  /** How Python mcp 2 chooses the revision; `auto` when left out. */
  mode?: string
  /** What the user does with a link that the server asks them to open; with it the client declares URL elicitation. */
  follow?: (url: string, message: string) => Promise<'accept' | 'decline' | 'cancel'>
  /** The revision that go-sdk prefers; its newest when left out. */
  revision?: string
}

/** One step. */
export type Step =
  | { do: 'connect' | 'list' | 'tokens' | 'close' }
  /** `times`: as many at once. */
  | { do: 'call'; tool: string; arguments?: Record<string, unknown>; times?: number }
  /** The client's own clock moves on. */
  | { do: 'pass'; seconds: number }

/** What came of a step. */
export interface Outcome {
  do: string
  revision?: string
  tools?: string[]
  texts?: string[]
  isError?: boolean
  access?: string
  refresh?: string
  /** The words of the exception or error that the app got. */
  error?: string
}

/** A running client. */
export interface StepClient {
  /** What came of a step; an app's error is one of its members, the end of the program a rejection. */
  take(step: Step): Promise<Outcome>
  /** The authorize URLs to which it sent the user's browser. */
  readonly visits: URL[]
  /** Ends the program and waits for its end. */
  end(): Promise<void>
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

const commands: Record<StepClientName, () => Promise<[string, ...string[]]>> = {
  'mcp-1': async () => [await ensurePythonEnv(path('../python/mcp-1.txt')), path('../python/mcp1_client.py')],
  'mcp-2': async () => [await ensurePythonEnv(path('../python/mcp-2.txt')), path('../python/mcp2_client.py')],
  'go-sdk': async () => [`${await ensureGoClients()}/go-sdk`],
  'mcp-go': async () => [`${await ensureGoClients()}/mcp-go`],
}

/** Makes sure that a client is installed or built: once, and before the time of a test counts. */
export async function prepareStepClient(name: StepClientName): Promise<void> {
  await commands[name]()
}

/** Starts a client that does one step after the other. */
export async function startStepClient(name: StepClientName, { user, unticked, follow, ...settings }: StepClientSettings): Promise<StepClient> {
  const [command, ...args] = await commands[name]()
  const redirectUri = `http://127.0.0.1:${name === 'mcp-go' ? '7998/oauth' : '7998'}/callback`
  const child = spawn(command, [...args, JSON.stringify({ redirectUri, name, ...settings, ...(follow && { opensLinks: true }) })], { stdio: 'pipe' })
  const ended = once(child, 'close')
  ended.catch(() => {})
  // Its end is told by `take` and `end`, with its own words.
  child.stdin.on('error', () => {})
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const send = (message: object) => child.stdin.write(`${JSON.stringify(message)}\n`)
  const visits: URL[] = []
  const visit = async (url: URL) => {
    const decisions = visits.length === 0 && unticked !== undefined ? { user, unticked } : { user }
    visits.push(url)
    const page = await new Browser(url.searchParams.get('redirect_uri') ?? '').authorize(url, decisions)
    callbackOf(page)
    send({ callback: page.redirect?.href })
  }
  return {
    visits,
    async take(step) {
      send(step)
      for (;;) {
        const { value, done } = await lines.next()
        if (done === true) throw new Error(`${name} ended at ${JSON.stringify(step)}\n${errors}`)
        const message = JSON.parse(value) as Outcome & { open?: string; follow?: string; message?: string }
        if (message.open !== undefined) await visit(new URL(message.open))
        else if (message.follow !== undefined) send({ action: await follow?.(message.follow, message.message ?? '') })
        else return message
      }
    },
    async end() {
      child.stdin.end()
      const deadline = setTimeout(() => child.kill('SIGKILL'), 10_000)
      const [code] = await ended
      clearTimeout(deadline)
      if (code !== 0) throw new Error(`${name} ended with ${code}\n${errors}`)
    },
  }
}
