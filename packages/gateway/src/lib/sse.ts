const lineFeed = 10
const carriageReturn = 13

/** One block of an event stream, up to and with its blank line. */
export interface SseBlock {
  /** As it came; undefined when it was larger than the bound. */
  raw: Buffer | undefined
  /** Beginning and end of a block that was larger than the bound. */
  head: Buffer
  tail: Buffer
}

/** What a block says (WHATWG HTML §9.2.6). */
export interface SseFields {
  /** Undefined: a comment, a `retry`, or nothing. */
  data: string | undefined
  /** `message` unless the block names another. */
  type: string
  id: string | undefined
}

const edgeBytes = 4096

/**
 * Cuts an event stream into blocks without touching its bytes: a block that arrives in one chunk is a view into it. Lines may end in LF, CRLF or CR, also with the
 * CRLF split between two chunks. Joined together, the blocks and {@link SseReader.rest} are the bytes that were pushed.
 */
export class SseReader {
  readonly #maxBlockBytes: number
  #parts: Buffer[] = []
  #size = 0
  #oversize = false
  #midLine = false
  #afterReturn = false

  /** @param maxBlockBytes blocks beyond it come without `raw`, so that no event can fill the memory */
  constructor(maxBlockBytes: number) {
    this.#maxBlockBytes = maxBlockBytes
  }

  /** Takes the next bytes of the stream and gives the blocks that they complete. */
  push(chunk: Buffer): SseBlock[] {
    const blocks: SseBlock[] = []
    let start = 0
    let line = this.#afterReturn && chunk[0] === lineFeed ? 1 : 0
    if (chunk.length > 0) this.#afterReturn = false
    let feed = chunk.indexOf(lineFeed, line)
    let back = chunk.indexOf(carriageReturn, line)
    while (feed >= 0 || back >= 0) {
      const end = feed < 0 ? back : back < 0 ? feed : Math.min(feed, back)
      const blank = end === line && !this.#midLine
      const isReturn = chunk[end] === carriageReturn
      line = end + (isReturn && chunk[end + 1] === lineFeed ? 2 : 1)
      this.#afterReturn = isReturn && line === chunk.length && line === end + 1
      this.#midLine = false
      if (blank) {
        this.#keep(chunk.subarray(start, line))
        blocks.push(this.#take())
        start = line
      }
      if (feed >= 0 && feed < line) feed = chunk.indexOf(lineFeed, line)
      if (back >= 0 && back < line) back = chunk.indexOf(carriageReturn, line)
    }
    if (line < chunk.length) this.#midLine = true
    this.#keep(chunk.subarray(start))
    return blocks
  }

  /** What came after the last complete block; undefined when the stream stands between two blocks. */
  rest(): SseBlock | undefined {
    return this.#size === 0 ? undefined : this.#block()
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return
    this.#parts.push(part)
    this.#size += part.length
    if (this.#size <= this.#maxBlockBytes) return
    const [head, tail] = this.#edges()
    this.#parts = [head, tail]
    this.#oversize = true
  }

  #edges(): [Buffer, Buffer] {
    const all = Buffer.concat(this.#parts)
    return [all.subarray(0, edgeBytes), all.subarray(Math.max(edgeBytes, all.length - edgeBytes))]
  }

  #block(): SseBlock {
    if (this.#oversize) {
      const [head, tail] = this.#edges()
      return { raw: undefined, head, tail }
    }
    const raw = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts)
    return { raw, head: raw, tail: raw }
  }

  #take(): SseBlock {
    const block = this.#block()
    this.#parts = []
    this.#size = 0
    this.#oversize = false
    return block
  }
}

/** Reads the fields of a block. */
export function readSseFields(block: Buffer): SseFields {
  const data: string[] = []
  let type = ''
  let id: string | undefined
  for (const line of linesOf(block)) {
    const [name, value] = fieldOf(line)
    if (name === 'data') data.push(value)
    else if (name === 'event') type = value
    else if (name === 'id' && !value.includes('\0')) id = value
  }
  return { data: data.length === 0 ? undefined : data.join('\n'), type: type || 'message', id }
}

/** A block with other data in place of its own; `id`, `event`, `retry` and comments stay where they were. */
export function replaceSseData(block: Buffer, data: string): Buffer {
  const kept = linesOf(block).filter((line) => line !== '' && fieldOf(line)[0] !== 'data')
  return Buffer.from(`${[...kept, ...dataLines(data)].join('\n')}\n\n`)
}

/** One event of the type `message`. */
export function sseEvent(data: string): Buffer {
  return Buffer.from(`${dataLines(data).join('\n')}\n\n`)
}

function dataLines(data: string): string[] {
  return data.split(/\r\n|\n|\r/).map((line) => `data: ${line}`)
}

function linesOf(block: Buffer): string[] {
  return block
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .split(/\r\n|\n|\r/)
}

function fieldOf(line: string): [name: string, value: string] {
  const colon = line.indexOf(':')
  if (colon < 0) return [line, '']
  return [line.slice(0, colon), line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))]
}
