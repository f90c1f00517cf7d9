import type { Deps } from '../deps.ts'
import { fingerprint } from '../keys/fingerprint.ts'
import { recordKey } from '../store/schema.ts'
import type { Connection } from './connection.ts'
import type { FreshTokens, Lifetimes } from './connection-machine.ts'
import { jwtAccessToken } from './jwt-access-token.ts'
import { mintToken } from './token-format.ts'

type MintDeps = Pick<Deps, 'keys' | 'random' | 'config'>

/** An access token that is to be made. */
export interface WantedToken {
  generation: number
  scopes: string[]
  /** Milliseconds since the epoch. */
  now: number
  jkt: string | undefined
}

/** How long what the gateway issues lives. */
export function lifetimesOf({ config }: Pick<Deps, 'config'>): Lifetimes {
  const { accessTokenSeconds, refreshTokenSeconds, refreshGraceSeconds } = config.tokens
  return { accessMs: accessTokenSeconds * 1000, refreshMs: refreshTokenSeconds * 1000, graceMs: refreshGraceSeconds * 1000 }
}

/** Makes an access token in the form that the gateway gives. */
export function mintAccessToken(deps: MintDeps, connection: Connection, { generation, scopes, now, jkt }: WantedToken): string {
  const handle = mintToken(deps, 'at', connection.id, generation)
  return jwtAccessToken(deps, connection, { handle, scopes, issuedAt: now, expiresAt: now + lifetimesOf(deps).accessMs, jkt }) ?? handle
}

/** Makes an access token and a refresh token, with what is stored of them. */
export function mintTokens(deps: MintDeps, connection: Connection, wanted: WantedToken): FreshTokens {
  const key = recordKey('connection', connection.id)
  const access = mintAccessToken(deps, connection, wanted)
  const renewed = mintToken(deps, 'rt', connection.id, wanted.generation)
  return {
    accessHash: fingerprint(access),
    refreshHash: fingerprint(renewed),
    sealedAccess: deps.keys.seal(access, key),
    sealedRefresh: deps.keys.seal(renewed, key),
    keyId: deps.keys.ids[0] as string,
  }
}
