import { createHash } from 'node:crypto'

/**
 * One kind of record: its key prefix, the version written today, and how older versions become today's. The table below is the whole of what the gateway
 * stores; `scripts/records-page.mjs` writes docs/reference/records.md from it.
 */
export interface RecordKind {
  prefix: string
  /** What follows the prefix, for the docs: `HASH` where ids are long or hold special characters (see {@link recordKey}). */
  key: string
  version: number
  /** What it is, for the docs. */
  about: string
  /** Where its life ends. */
  life: string
  /** Upgrades a parsed record of an older version, step by step. */
  upgrade: Record<number, (old: Record<string, unknown>) => Record<string, unknown>>
}

export const schema = {
  connection: {
    prefix: 'connection',
    version: 1,
    key: 'ID',
    about: 'one user, one client, one server: hashes of its code, access tokens and refresh family; the sealed answer of the last refresh',
    life: 'until its refresh token expires; until the code is used, that of the code',
    upgrade: {},
  },
  grant: {
    prefix: 'grant',
    version: 1,
    key: 'PROVIDER:OWNER',
    about: 'one downstream grant: sealed tokens, scopes, identity, state, the lease of a running refresh',
    life: 'that of its connection',
    upgrade: {},
  },
  client: { prefix: 'client', key: 'ID', version: 1, about: 'a dynamically registered client', life: '`unusedExpirySeconds`, renewed by use', upgrade: {} },
  clientCount: { prefix: 'client-count', key: 'all', version: 1, about: 'how many registered clients are live', life: 'twice that of a client', upgrade: {} },
  document: {
    prefix: 'client-document',
    key: 'HASH',
    version: 1,
    about: 'a cached client id metadata document, key set or logo',
    life: 'a day, used beyond its HTTP freshness only while its host is down; of a logo a week',
    upgrade: {},
  },
  pending: {
    prefix: 'pending',
    key: 'ID',
    version: 1,
    about: 'an authorization that someone has decided, or that waits to be confirmed',
    life: 'eleven minutes, one use',
    upgrade: {},
  },
  reconnection: {
    prefix: 'reconnect',
    key: 'ID',
    version: 1,
    about: 'a sign-in under way that renews a dead grant',
    life: 'ten minutes, one use',
    upgrade: {},
  },
  pushed: {
    prefix: 'pushed',
    key: 'ID',
    version: 1,
    about: 'which transaction used a pushed authorization request',
    life: 'forty minutes',
    upgrade: {},
  },
  approval: { prefix: 'approval', key: 'HASH', version: 1, about: 'a remembered consent', life: 'a year, renewed by use', upgrade: {} },
  stepUp: {
    prefix: 'step-up',
    key: 'HASH',
    version: 1,
    about: 'scopes refused to a connection, offered at its next authorization',
    life: 'an hour',
    upgrade: {},
  },
  subject: { prefix: 'subject', key: 'HASH', version: 1, about: "ids of one user's connections", life: 'that of the longest-lived connection', upgrade: {} },
  shard: {
    prefix: 'connections',
    key: 'SHARD',
    version: 1,
    about: 'ids of all connections, in 1,024 shards',
    life: 'ten years from its last change',
    upgrade: {},
  },
  spend: { prefix: 'spend', key: 'HASH', version: 1, about: 'a counter: a budget in its window, or a rate', life: 'its window', upgrade: {} },
  used: {
    prefix: 'used',
    key: 'HASH',
    version: 1,
    about: "a `jti` that was presented: of a client's assertion, an enterprise's, or a DPoP proof",
    life: 'until that would be refused for its age',
    upgrade: {},
  },
} as const satisfies Record<string, RecordKind>

/** Name of a record kind in {@link schema}. */
export type RecordName = keyof typeof schema

/**
 * The key of a record. An id that is long or holds anything but plain characters is hashed, so that a key fits every backend (SQL adapters have
 * VARCHAR(255)) and two different ids never meet.
 */
export function recordKey(name: RecordName, ...id: string[]): string {
  const plain = id.every((part) => /^[\w-]{1,60}$/.test(part)) && id.length <= 3
  const tail = plain ? id.join(':') : `~${createHash('sha256').update(JSON.stringify(id)).digest('base64url')}`
  return `${schema[name].prefix}:${tail}`
}
