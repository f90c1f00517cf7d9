import { GatewayError } from '../errors/errors.ts'

/** The first revision without an `initialize` handshake: each request carries everything itself. */
export const firstModernRevision = '2026-07-28'

/** The revisions whose rules are enforced here. A later one may have others, so it is not let through unread; what of these a runtime speaks is its own matter. */
export const knownRevisions = ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28']

/** Thrown for a modern revision that is not known here (TR-15). */
export class UnsupportedVersion extends GatewayError {
  readonly requested: string
  constructor(requested: string) {
    super('version_unsupported')
    this.name = 'UnsupportedVersion'
    this.requested = requested
  }
}

/** The only revision with JSON-RPC batches, and the one to assume where no header names any (TR-6, TR-14). */
export const batchRevision = '2025-03-26'

/** Names in `_meta` of a modern request (JR-15). */
export const metaNames = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
} as const

/** Whether a protocol version names a modern revision. Revisions are dates, so they compare as text. */
export function isModern(revision: string | undefined): boolean {
  return revision !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(revision) && revision >= firstModernRevision
}

/** Whether a text could name a revision at all. */
export function isRevision(text: string): boolean {
  return /^[\w.-]{1,40}$/.test(text)
}
