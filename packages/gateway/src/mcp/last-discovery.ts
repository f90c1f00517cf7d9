import type { Json } from '../lib/json.ts'
import { isObject } from './envelope.ts'

const maxPrivate = 200
const maxBytes = 262_144

/**
 * The runtime's last answers to `server/discover`. Any failure of that method drops clients to a legacy revision for good (refusals.md), so the last answer stands in
 * while the runtime is down. An answer that the runtime calls private is given to its own connection only (JR-12).
 */
export class LastDiscovery {
  #public: Json | undefined
  readonly #private = new Map<string, Json>()

  /** Keeps the result of a `server/discover` that the runtime has answered. */
  keep(connectionId: string, result: Json): void {
    if (!isObject(result) || JSON.stringify(result).length > maxBytes) return
    if (result.cacheScope === 'public') {
      this.#public = result
      return
    }
    this.#private.delete(connectionId)
    this.#private.set(connectionId, result)
    const oldest = this.#private.keys().next()
    if (this.#private.size > maxPrivate && !oldest.done) this.#private.delete(oldest.value)
  }

  /** The last result that this connection may see. */
  get(connectionId: string): Json | undefined {
    return this.#private.get(connectionId) ?? this.#public
  }
}
