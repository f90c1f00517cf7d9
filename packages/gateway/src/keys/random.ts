import { randomFillSync } from 'node:crypto'

const supply = Buffer.alloc(4096)
let used = supply.length

/**
 * Random bytes of the system, from a supply: asking it for a few at a time costs several times more.
 *
 * @param bytes how many, 4,096 at most
 * @returns base64url
 */
export function randomText(bytes: number): string {
  if (bytes > supply.length) throw new RangeError(`at most ${supply.length} random bytes at a time`)
  if (used + bytes > supply.length) {
    randomFillSync(supply)
    used = 0
  }
  const end = used + bytes
  const text = supply.toString('base64url', used, end)
  // What was given away once stands nowhere any more.
  supply.fill(0, used, end)
  used = end
  return text
}
