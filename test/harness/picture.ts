import { crc32, deflateSync } from 'node:zlib'

/** A PNG of one colour with a lighter square in it, for what needs a picture. */
export function picture(size: number, [red, green, blue]: [number, number, number]): Buffer {
  const rows = Array.from({ length: size }, (_, y) => {
    const row = Buffer.alloc(1 + 3 * size)
    for (let x = 0; x < size; x++) {
      const isInside = Math.max(Math.abs(x - size / 2), Math.abs(y - size / 2)) < size / 5
      row.set(isInside ? [255, 255, 255] : [red, green, blue], 1 + 3 * x)
    }
    return row
  })
  const header = Buffer.alloc(13)
  header.writeUInt32BE(size, 0)
  header.writeUInt32BE(size, 4)
  header.set([8, 2, 0, 0, 0], 8)
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}
