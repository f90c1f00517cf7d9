import { randomBytes } from 'node:crypto'
import type { Config, Identity, ServerConfig } from '../../src/config.ts'
import type { ConnectionDeps } from '../../src/connections/connections.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { s256Challenge } from '../../src/lib/pkce.ts'
import type { LogEvent } from '../../src/log/events.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'

/** What a test of connections starts from: a clock it moves itself, a real store and key ring, and the events that were written. */
export interface Given extends ConnectionDeps {
  time: { now: number }
  events: LogEvent[]
}

export const tokens = {
  accessTokenSeconds: 600,
  refreshTokenSeconds: 3000,
  codeSeconds: 60,
  refreshGraceSeconds: 60,
  accessTokenFormat: 'opaque' as const,
  signingKeys: [],
}
export const todo = { id: 'todo', resource: 'https://mcp.example.com/mcp' } as ServerConfig
const other = { id: 'other', resource: 'https://mcp.example.com/other' } as ServerConfig

export function given(open: (clock: () => number) => Store = (clock) => memoryStore({ clock })): Given {
  const time = { now: 1_800_000_000_000 }
  const clock = () => time.now
  const events: LogEvent[] = []
  return {
    time,
    events,
    clock,
    store: open(clock),
    keys: createKeyRing(['a-secret-of-at-least-thirty-two-characters']),
    random: (bytes) => randomBytes(bytes).toString('base64url'),
    config: { issuer: 'https://mcp.example.com', tokens, servers: { todo, other }, scopeHierarchy: {} } as unknown as Config,
    log: { write: (event) => events.push(event), dropped: 0 },
  }
}

export const alice: Identity = { issuer: 'https://login.example.com', sub: 'alice', claims: {} }
export const clientId = 'https://client.example/metadata.json'
export const verifier = 'verifier-of-at-least-forty-three-characters-0123'
export const redirectUri = 'http://127.0.0.1:4321/callback'

export const authorization = {
  identity: alice,
  client: { clientId, name: 'A client', trust: 'document' as const },
  server: todo,
  scopes: ['todos.read', 'todos.write'],
  grantKey: 'grant:default:x',
  provider: 'default',
  code: { challenge: s256Challenge(verifier), redirectUri },
}
