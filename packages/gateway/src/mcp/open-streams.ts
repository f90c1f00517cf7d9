import { GatewayError } from '../errors/errors.ts'

/**
 * Counts the open streams of each connection in this process. The bound protects the process, so it holds for the GET stream too; it is looked at before a call is sent,
 * since after that the call has happened.
 */
export class OpenStreams {
  readonly #limit: number
  readonly #open = new Map<string, number>()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** @throws GatewayError `too_many_streams` */
  check(connectionId: string): void {
    if ((this.#open.get(connectionId) ?? 0) < this.#limit) return
    const message = `This connection has ${this.#limit} streams open, which is the most it may have. Close one first.`
    throw new GatewayError('too_many_streams', { message, headers: { 'retry-after': '5' } })
  }

  /** Counts a stream until the function that is returned is called. */
  enter(connectionId: string): () => void {
    this.#open.set(connectionId, (this.#open.get(connectionId) ?? 0) + 1)
    let isOpen = true
    return () => {
      if (!isOpen) return
      isOpen = false
      const left = (this.#open.get(connectionId) ?? 1) - 1
      if (left > 0) this.#open.set(connectionId, left)
      else this.#open.delete(connectionId)
    }
  }
}
