import { randomBytes } from 'node:crypto'
import type { Config, ProviderConfig } from '../../src/config.ts'
import { createDownstream, type Downstream, type DownstreamTokens } from '../../src/grants/downstream.ts'
import type { UsableDeps } from '../../src/grants/usable-grant.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import type { LogEvent } from '../../src/log/events.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { callback, type Oidc } from './oidc.ts'

export const clientSecret = 'the-gateway-s-secret-at-the-provider'
export const gatewayClient = {
  client_id: 'gateway',
  client_secret: clientSecret,
  redirect_uris: [callback],
  grant_types: ['authorization_code', 'refresh_token'],
}

export const random = (bytes: number) => randomBytes(bytes).toString('base64url')

export function providerAt(issuer: string, more: Partial<ProviderConfig> = {}): ProviderConfig {
  return {
    id: 'default',
    issuer,
    endpoints: undefined,
    clientId: 'gateway',
    clientSecret,
    clientAuthentication: undefined,
    scopes: ['openid', 'todos.read', 'todos.write'],
    resource: undefined,
    audience: undefined,
    scopeMap: {},
    authorizeParams: {},
    tokenParams: {},
    identity: 'id_token',
    refreshAheadSeconds: 60,
    timeoutSeconds: 10,
    ...more,
  }
}

/** Lets a user sign in at the provider through the gateway's client. */
export async function signIn(oidc: Oidc, downstream: Downstream, scopes = ['openid', 'todos.read']): Promise<DownstreamTokens> {
  const verifier = downstream.newVerifier()
  const leg = { redirectUri: callback, state: random(16), nonce: random(16), scopes }
  const url = await downstream.authorizationUrl({ ...leg, codeChallenge: downstream.challengeOf(verifier), loginHint: 'alice' })
  return downstream.exchange({ ...leg, verifier, callbackUrl: await oidc.login(url) })
}

/** One process of a gateway: `replica()` of it is another one on the same store. */
export interface Process extends UsableDeps {
  time: { ahead: number }
  events: LogEvent[]
  /** The next event of that name. */
  eventOf(name: LogEvent['event']): Promise<LogEvent>
}

export function processOn(provider: ProviderConfig, store: Store = memoryStore()): Process {
  const time = { ahead: 0 }
  const events: LogEvent[] = []
  const waiting = new Map<string, (event: LogEvent) => void>()
  const clock = () => Date.now() + time.ahead
  return {
    time,
    events,
    // A copy: what is shared within a process is found by the store object.
    store: { ...store },
    clock,
    keys: createKeyRing(['a-secret-of-at-least-thirty-two-characters']),
    random,
    config: { tokens: { refreshTokenSeconds: 3600 } } as Config,
    downstream: createDownstream(provider, { random, clock }),
    log: {
      dropped: 0,
      write(event) {
        events.push(event)
        waiting.get(event.event)?.(event)
      },
    },
    eventOf: (name) => new Promise((resolve) => waiting.set(name, resolve)),
  }
}
