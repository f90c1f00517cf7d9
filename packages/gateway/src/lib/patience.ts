/** A time-out that is fair to what has arrived already. */
export interface Patience {
  /** Aborts when the time is over. */
  signal: AbortSignal
  /** Stops the clock. */
  end(): void
}

const steps = 10

/**
 * A time-out that counts only time in which this process ran. One that stood still (stopped, swapped out, its machine suspended) finds its timers over and the answer unread, and
 * would throw the answer away: so a step that comes much too late does not count, and what has arrived is read first.
 *
 * @param ms how long, in milliseconds; at most twice as many steps are taken, however late they come
 */
export function patience(ms: number): Patience {
  const abort = new AbortController()
  const stepMs = ms / steps
  let counted = 0
  let taken = 0
  let timer: NodeJS.Timeout
  const step = () => {
    const startedAt = performance.now()
    timer = setTimeout(() => {
      taken++
      if (performance.now() - startedAt < 2 * stepMs + 50) counted++
      if (counted >= steps || taken >= 2 * steps) abort.abort(new DOMException('The operation timed out.', 'TimeoutError'))
      else step()
    }, stepMs)
  }
  step()
  return { signal: abort.signal, end: () => clearTimeout(timer) }
}
