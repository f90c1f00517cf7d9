import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Identity } from '../config.ts'
import type { Deps } from '../deps.ts'
import { cookieName, readCookie, setCookie } from '../http/cookies.ts'

/** Who signed in with this browser before, at one provider. */
export interface RememberedUser {
  /** Key in `config.providers`. */
  provider: string
  issuer: string
  sub: string
  name?: string
}

interface CookieContent {
  /** Milliseconds since the epoch; stands inside the seal, so that a browser cannot stretch it. */
  until: number
  users: RememberedUser[]
}

type CookieDeps = Pick<Deps, 'config' | 'keys' | 'clock'>

const base = 'emcy-user'
// One user a provider; more providers than this on one gateway, and the oldest are forgotten: a cookie has to stay small.
const mostUsers = 4
const longestValue = 4096

/**
 * The users that this browser signed in as, one a provider, the newest first. It names them for a remembered approval and for the account page; it is no
 * credential for a token (AZ-6, AZ-9).
 *
 * @returns an empty list when there is no cookie of ours, or it was changed or has run out
 */
export function rememberedUsers(deps: CookieDeps, req: IncomingMessage): RememberedUser[] {
  const value = readCookie(req, cookieName(deps.config, base))
  if (value === undefined || value.length > longestValue) return []
  const opened = deps.keys.open(value, base)
  if (opened === undefined) return []
  const content = JSON.parse(opened) as CookieContent
  return content.until > deps.clock() ? content.users : []
}

/** Remembers who just signed in at a provider. Claims stay out of the browser. */
export function rememberUser(deps: CookieDeps, req: IncomingMessage, res: ServerResponse, provider: string, identity: Identity): void {
  const user: RememberedUser = { provider, issuer: identity.issuer, sub: identity.sub, ...(identity.name ? { name: identity.name.slice(0, 100) } : {}) }
  const others = rememberedUsers(deps, req).filter((known) => known.provider !== provider)
  const seconds = deps.config.tokens.refreshTokenSeconds
  const content: CookieContent = { until: deps.clock() + seconds * 1000, users: [user, ...others].slice(0, mostUsers) }
  writeCookie(deps, res, deps.keys.seal(JSON.stringify(content), base), seconds)
}

/** Forgets every user in this browser. */
export function forgetUsers(deps: CookieDeps, res: ServerResponse): void {
  writeCookie(deps, res, '', 0)
}

function writeCookie(deps: CookieDeps, res: ServerResponse, value: string, maxAgeSeconds: number): void {
  if (value.length > longestValue) return
  setCookie(res, { name: cookieName(deps.config, base), value, maxAgeSeconds, secure: !deps.config.loopback })
}
