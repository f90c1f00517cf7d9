import { randomBytes } from 'node:crypto'
import type { ClientsConfig, Config } from '../../src/config.ts'
import type { Deps } from '../../src/deps.ts'
import { createGuardedFetch } from '../../src/http/guarded-fetch.ts'
import { memoryStore } from '../../src/store/memory.ts'

export const issuer = 'https://mcp.example.com'
export const tokenEndpoint = `${issuer}/token`

/** What clients/ asks for, over a real store and real fetches to loopback, with a clock that the test moves. */
export interface TestDeps extends Pick<Deps, 'config' | 'store' | 'clock' | 'random' | 'guardedFetch'> {
  /** Moves the clock on. */
  pass(ms: number): void
}

export function testDeps(clients: Partial<ClientsConfig> = {}): TestDeps {
  let now = Date.UTC(2026, 10, 24)
  const clock = () => now
  const all: ClientsConfig = {
    preregistered: [],
    metadataDocuments: { allow: [], ask: [], deny: [], dangerouslyAllowPrivateAddresses: true },
    registration: {
      initialAccessToken: undefined,
      unusedExpirySeconds: 30 * 86_400,
      perSourcePerHour: 1000,
      maxClients: 100_000,
      softwareStatements: undefined,
    },
    pushedRequests: 'offered',
    ...clients,
  }
  const { metadataDocuments } = all
  return {
    config: { issuer, endpoints: { register: '/register' }, clients: all } as unknown as Config,
    store: memoryStore({ clock }),
    clock,
    random: (bytes) => randomBytes(bytes).toString('base64url'),
    guardedFetch: createGuardedFetch({ allowPrivateAddresses: metadataDocuments !== false && metadataDocuments.dangerouslyAllowPrivateAddresses }),
    pass: (ms) => {
      now += ms
    },
  }
}

/** The error that a promise rejects with; fails when it does not. */
export async function refusal(promise: Promise<unknown>): Promise<{ code: string; status: number; description: string; headers: Record<string, string> }> {
  return promise.then(
    (value) => {
      throw new Error(`not refused: ${JSON.stringify(value)}`)
    },
    (error) => error,
  )
}
