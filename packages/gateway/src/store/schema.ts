import { createHash } from 'node:crypto'

/**
 * One kind of record: its key prefix, the version written today, and how older versions become today's. The table below is the whole of what the gateway
 * stores; docs/reference/records.md describes it.
 */
export interface RecordKind {
  prefix: string
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
    about: 'one user, one client, one server: code, tokens, refresh family',
    life: 'until its refresh token expires',
    upgrade: {},
  },
  grant: {
    prefix: 'grant',
    version: 1,
    about: 'one downstream grant, sealed, with the lease of a running refresh',
    life: 'that of its connection',
    upgrade: {},
  },
  client: { prefix: 'client', version: 1, about: 'a dynamically registered client', life: 'unusedExpirySeconds, renewed by use', upgrade: {} },
  document: { prefix: 'client-document', version: 1, about: 'a cached client id metadata document', life: 'its HTTP freshness, within bounds', upgrade: {} },
  pending: { prefix: 'pending', version: 1, about: 'an authorization under way', life: 'ten minutes', upgrade: {} },
  approval: { prefix: 'approval', version: 1, about: 'a remembered consent', life: 'a year, renewed by use', upgrade: {} },
  stepUp: { prefix: 'step-up', version: 1, about: 'scopes refused to a connection, offered at its next authorization', life: 'an hour', upgrade: {} },
  subject: { prefix: 'subject', version: 1, about: "ids of one user's connections", life: 'that of the longest-lived connection', upgrade: {} },
  shard: { prefix: 'connections', version: 1, about: 'ids of all connections, in 1,024 shards', life: 'ten years from its last change', upgrade: {} },
  spend: { prefix: 'spend', version: 1, about: 'a counter: a budget in its window, or a rate', life: 'its window', upgrade: {} },
  used: { prefix: 'used', version: 1, about: 'a jti that was presented (RFC 7523 §3)', life: 'until the assertion expires', upgrade: {} },
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
