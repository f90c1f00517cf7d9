import type { Fetch } from './recorder.ts'

/**
 * A fetch that holds 401 answers back until so many of them are there: requests that meet an expired token at the same moment, however busy the machine is.
 *
 * @param count how many are held, once {@link start} was called; later ones pass
 */
export function gathered(count: number): { fetch: Fetch; start(): void } {
  let missing = 0
  let open = () => {}
  let together = Promise.resolve()
  return {
    start() {
      missing = count
      together = new Promise((resolve) => {
        open = resolve
      })
    },
    async fetch(input, init) {
      const response = await fetch(input, init)
      if (response.status === 401 && missing > 0) {
        missing--
        if (missing === 0) open()
        await together
      }
      return response
    },
  }
}
