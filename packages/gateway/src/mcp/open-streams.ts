import { GatewayError } from '../errors/errors.ts'

/**
 * Counts what each connection has open in this process: streams, and calls under way, each of which may be answered by one. The bound protects the process, so it holds for the GET
 * stream too. A place is taken before a call is sent, since after that the call has happened, and in one step with the look at the bound: of many that come at once no more get in.
 */
export class OpenStreams {
  readonly #limit: number
  readonly #open = new Map<string, number>()

  constructor(limit: number) {
    this.#limit = limit
  }

  /**
   * Takes a place until the function that is returned is called.
   *
   * @param isBounded false for what is never refused; it counts all the same
   * @throws GatewayError `too_many_streams`
   */
  enter(connectionId: string, isBounded = true): () => void {
    const open = this.#open.get(connectionId) ?? 0
    if (isBounded && open >= this.#limit) {
      const message = `This connection has ${this.#limit} streams or calls open, which is the most it may have. Close one first.`
      throw new GatewayError('too_many_streams', { message, headers: { 'retry-after': '5' } })
    }
    this.#open.set(connectionId, open + 1)
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
