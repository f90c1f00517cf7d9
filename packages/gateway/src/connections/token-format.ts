import type { Deps } from '../deps.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import { handleOf } from './jwt-access-token.ts'

/** Access token, refresh token, authorization code. */
export type TokenKind = 'at' | 'rt' | 'ac'

/** What a token of ours says of itself. */
export interface TokenParts {
  kind: TokenKind
  connectionId: string
  /** 0 for a code, 1 for the tokens it gives, one more with each rotation. */
  generation: number
}

const purpose = 'token'
const pattern = /^(emcy_(at|rt|ac)_([\w-]{1,60})\.(0|[1-9]\d{0,8})\.[\w-]{43})\.([\w-]{22})$/

/** Makes the id of a new connection: 128 random bits. */
export function newConnectionId(deps: Pick<Deps, 'random'>): string {
  return deps.random(16)
}

/**
 * Makes a token: `emcy_<kind>_<connection id>.<generation>.<256 random bits>.<MAC>`. The MAC lets {@link readToken} refuse what we did not issue before the
 * store is asked, and means that only a token of ours can ever be called a replay: knowing a connection's id ends nobody's session.
 */
export function mintToken(deps: Pick<Deps, 'keys' | 'random'>, kind: TokenKind, connectionId: string, generation: number): string {
  const body = `emcy_${kind}_${connectionId}.${generation}.${deps.random(32)}`
  return `${body}.${deps.keys.sign(body, purpose)}`
}

/** Reads a token without the store, an access token in either form. Undefined when it is not one that a key of the ring made. */
export function readToken(keys: Pick<KeyRing, 'verify'>, token: string): TokenParts | undefined {
  const match = pattern.exec(handleOf(token) ?? '')
  if (!match) return undefined
  const [, body, kind, connectionId, generation, mac] = match as unknown as [string, string, TokenKind, string, string, string]
  if (!keys.verify(body, purpose, mac)) return undefined
  return { kind, connectionId, generation: Number(generation) }
}
