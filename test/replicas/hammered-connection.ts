import { note, type Tally, type Verdict } from './tally.ts'
import { type Outcome, timedRequest } from './timed-request.ts'

/** A connection as its client knows it. */
export interface ClientTokens {
  user: string
  clientId: string
  accessToken: string
  refreshToken: string
  /** When the client refreshes, by its own clock. */
  refreshAt: number
}

/** Where the two gateways are, and who they are to the public. */
export interface Place {
  gateways: string[]
  /** The MCP server's resource identifier. */
  resource: string
  /** A server that answers strangers at once. */
  control: string
  /** How long clients use an access token; as long as it lasts when left out. */
  refreshAfterSeconds?: number
}

type Answer = Outcome & { is: 'answer' }

/* Half of the calls speak the modern revision, the other half a legacy one without a session. */
const modernMeta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
const modernHeaders = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'whoami' }

/** One user's client: it calls through any gateway, and refreshes when its own clock says so, now and then several times at once as real ones do. */
export class HammeredConnection {
  readonly tokens: ClientTokens
  refreshing: Promise<boolean> | undefined
  private readonly place: Place
  private calls = 0

  constructor(place: Place, tokens: ClientTokens) {
    this.place = place
    this.tokens = tokens
  }

  /** Calls the tool once, after a refresh where it is due. */
  async call(gateway: number, tally: Tally): Promise<Verdict> {
    if (Date.now() >= this.tokens.refreshAt && !(await this.refresh(gateway, tally))) return 'unreachable'
    const { user, accessToken, refreshAt } = this.tokens
    const isModern = this.calls++ % 2 === 0
    const params = { name: 'whoami', arguments: {}, ...(isModern && { _meta: modernMeta }) }
    const headers = { accept: 'application/json, text/event-stream', 'content-type': 'application/json', authorization: `Bearer ${accessToken}` }
    const at = Date.now()
    tally.calls++
    const body = JSON.stringify({ jsonrpc: '2.0', id: this.calls, method: 'tools/call', params })
    const outcome = await timedRequest(`${this.place.gateways[gateway]}/mcp`, isModern ? { ...headers, ...modernHeaders } : headers, body)
    return note(tally, { user, gateway, at }, outcome, (answer) => judgeCall(answer, user, refreshAt))
  }

  /** Refreshes at the gateway, once for all who ask meanwhile. Tells whether there are new tokens. */
  refresh(gateway: number, tally: Tally): Promise<boolean> {
    this.refreshing ??= this.sendRefreshes(gateway, tally).finally(() => {
      this.refreshing = undefined
    })
    return this.refreshing
  }

  private async sendRefreshes(first: number, tally: Tally): Promise<boolean> {
    const isParallel = Math.random() < 0.3
    const gateways = isParallel ? [first, 1 - first, first, 1 - first] : [first]
    tally.refreshes++
    if (isParallel) tally.parallelRefreshes++
    const presented = this.tokens.refreshToken
    const answers = await Promise.all(gateways.map((gateway) => this.sendRefresh(gateway, presented, tally)))
    const issued = answers.filter((answer) => answer !== undefined).sort((one, other) => one.receivedAt - other.receivedAt)
    const last = issued.at(-1)
    if (!last) return false
    // One successor for all who present one token.
    if (new Set(issued.map(({ refresh_token }) => refresh_token)).size > 1)
      tally.wrong.push({ user: this.tokens.user, gateway: first, at: Date.now(), until: Date.now(), ms: 0, what: 'two successors of one refresh token' })
    const seconds = Math.min(last.expires_in, this.place.refreshAfterSeconds ?? last.expires_in)
    const { access_token: accessToken, refresh_token: refreshToken } = last
    Object.assign(this.tokens, { accessToken, refreshToken, refreshAt: last.receivedAt + seconds * 1000 })
    return true
  }

  private async sendRefresh(gateway: number, refreshToken: string, tally: Tally): Promise<(Issued & { receivedAt: number }) | undefined> {
    const { clientId, user } = this.tokens
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: clientId, resource: this.place.resource })
    const at = Date.now()
    const outcome = await timedRequest(`${this.place.gateways[gateway]}/token`, { 'content-type': 'application/x-www-form-urlencoded' }, form.toString())
    const verdict = note(tally, { user, gateway, at }, outcome, judgeRefresh)
    return verdict === 'right' ? { ...(JSON.parse((outcome as Answer).text) as Issued), receivedAt: Date.now() } : undefined
  }
}

interface Issued {
  access_token: string
  refresh_token: string
  expires_in: number
}

interface Rpc {
  result?: { content?: { text?: string }[]; isError?: boolean }
  error?: { code: number; message: string }
}

function messageOf({ headers, text }: Answer): Rpc {
  const data = headers['content-type']?.startsWith('text/event-stream') ? /^data: ?(\{.*)$/m.exec(text)?.[1] : text
  try {
    return JSON.parse(data ?? '') as Rpc
  } catch {
    return {}
  }
}

function judgeCall(answer: Answer, user: string, promisedUntil: number): string {
  const { result, error } = messageOf(answer)
  const said = result?.content?.[0]?.text
  if (answer.status === 200 && said === user && result?.isError !== true) return 'right'
  const isUnreachable = error !== undefined && [-31003, -31004].includes(error.code) && [200, 502, 503, 504].includes(answer.status)
  if (isUnreachable && (error.code === -31004 || answer.headers['retry-after'] !== undefined)) return `unreachable ${error.code}: ${error.message}`
  // The request lay in a process that stood still until its token was over.
  if (answer.status === 401 && Date.now() >= promisedUntil) return 'expired'
  return `call: ${answer.status} ${answer.headers['www-authenticate'] ?? ''} ${answer.text.slice(0, 300)}`
}

function judgeRefresh(answer: Answer): string {
  if (answer.status === 200) return 'right'
  if (answer.status === 503 && answer.headers['retry-after'] !== undefined && answer.text.includes('"temporarily_unavailable"'))
    return `unreachable 503: ${answer.text.slice(0, 200)}`
  return `refresh: ${answer.status} ${answer.text.slice(0, 300)}`
}
