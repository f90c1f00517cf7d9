import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { Json } from '../lib/json.ts'
import { readSseFields, replaceSseData, type SseBlock, SseReader, sseEvent } from '../lib/sse.ts'
import { findId } from './find-id.ts'

/** How an event stream ended; without an answer that it owed, it died, however gracefully. */
export type StreamEnd = 'complete' | 'runtime died' | 'client left'

/** What changes events. */
export interface Filter {
  /** Part of each event that may have to be changed. */
  word: string
  /** Gives the data of an event in other words, or undefined to leave it. */
  rewrite: (data: string) => string | undefined
}

/** What becomes of an event stream on its way. */
export interface StreamOptions {
  body: Readable
  res: ServerResponse
  /** Ids of the requests that the stream has to answer; none on a GET stream. */
  owed: readonly (string | number)[]
  /** Largest event that is looked at, and of a rewritten stream the largest that passes. */
  maxEventBytes: number
  /** Given only where something may have to be taken out. */
  filter?: Filter | undefined
  /** Sees every answer to a request that was owed one. */
  onResponse: (message: Json) => void
  onBytes: (count: number) => void
  /** The message that tells a request, in one last event, that its answer does not come. */
  lastWords: (id: string | number) => string
}

/**
 * Hands an event stream on, unbuffered, with the client's pace as the runtime's. Without `filter` the bytes are not touched and not copied, only looked at: when the
 * runtime dies, or ends a stream that nobody could resume, requests without an answer get one in a last event, since clients wait for ever otherwise (refusals.md). With
 * `filter` it goes event by event.
 */
export function passEventStream(options: StreamOptions): Promise<StreamEnd> {
  const { body, res, filter, onBytes } = options
  const reader = new SseReader(options.maxEventBytes)
  const watch = new Answers(options)
  const write = (bytes: Buffer) => {
    onBytes(bytes.length)
    if (!res.write(bytes)) body.pause()
  }
  return new Promise((resolve) => {
    const finish = (end: StreamEnd) => {
      body.off('data', onData).off('end', onEnd).off('close', onClose)
      res.off('drain', onDrain).off('close', onLeft)
      resolve(end)
    }
    const conclude = (end: StreamEnd) => {
      const rest = reader.rest()
      // Of a rewritten stream an unfinished event was never sent. Otherwise the client has part of it, and the rest must not come from us as if it were the runtime's.
      if (rest && !filter) write(closingOf(rest, watch))
      const unanswered = watch.unanswered(end)
      for (const id of unanswered) write(sseEvent(options.lastWords(id)))
      res.end()
      finish(unanswered.length > 0 ? 'runtime died' : options.owed.length > 0 ? 'complete' : end)
    }
    const onData = (chunk: Buffer) => {
      if (!filter) write(chunk)
      for (const block of reader.push(chunk)) {
        watch.see(block)
        if (!filter) continue
        if (!block.raw) {
          // What cannot be read cannot be filtered.
          body.destroy()
          conclude('runtime died')
          return
        }
        const data = block.raw.includes(filter.word) ? readSseFields(block.raw).data : undefined
        const other = data === undefined ? undefined : filter.rewrite(data)
        write(other === undefined ? block.raw : replaceSseData(block.raw, other))
      }
    }
    const onEnd = () => conclude('complete')
    const onClose = () => conclude('runtime died')
    const onDrain = () => body.resume()
    const onLeft = () => {
      body.destroy()
      finish('client left')
    }
    // 'close' follows an error, and tells what is needed.
    body.on('error', () => {})
    if (res.destroyed) return onLeft()
    if (body.destroyed && !body.readableEnded) return conclude('runtime died')
    body.on('data', onData).on('end', onEnd).on('close', onClose)
    res.on('drain', onDrain).on('close', onLeft)
  })
}

/* Keeps count of which requests have their answer. */
class Answers {
  readonly #open: Set<string | number>
  readonly #onResponse: StreamOptions['onResponse']
  #canResume = false

  constructor({ owed, onResponse }: StreamOptions) {
    this.#open = new Set(owed)
    this.#onResponse = onResponse
  }

  see(block: SseBlock): void {
    // Nobody waits any more, or nobody ever did: a GET stream.
    if (this.#open.size === 0) return
    if (!block.raw) {
      this.#seeLarge(block)
      return
    }
    const { id, type, data } = readSseFields(block.raw)
    if (id !== undefined && id !== '') this.#canResume = true
    if (data !== undefined && type === 'message') this.seeData(data)
  }

  /* An event with an id can be asked for again (TR-36), so a stream that had one may end early (TR-37). A dead runtime has nothing left to give. */
  unanswered(end: StreamEnd): (string | number)[] {
    return end === 'complete' && this.#canResume ? [] : [...this.#open]
  }

  /** Counts what the data of an event answers; of a batch (2025-03-26) several. */
  seeData(data: string): void {
    if (!data.includes('"id"')) return
    let messages: unknown
    try {
      messages = JSON.parse(data)
    } catch {
      return
    }
    for (const message of [messages].flat() as ({ id?: unknown; method?: unknown } | null)[]) {
      if (typeof message !== 'object' || message === null || message.method !== undefined) continue
      if (this.#open.delete(message.id as string | number)) this.#onResponse(message as Json)
    }
  }

  /* Requests and notifications of a runtime are small: an event that is too large to look at and has an id of ours is the answer. */
  #seeLarge({ head, tail }: SseBlock): void {
    const from = head.indexOf('{')
    const id = from < 0 ? undefined : findId(head.subarray(from), tail)
    if (id !== undefined) this.#open.delete(id)
  }
}

/*
 * What has to follow an event that broke off. A whole message that lacks only its blank line gets it. Anything else becomes an event of a type that no client listens to:
 * its data is not JSON any more.
 */
function closingOf(rest: SseBlock, watch: Answers): Buffer {
  const fields = rest.raw && readSseFields(rest.raw)
  if (fields && (fields.data === undefined || isWhole(fields.data))) {
    if (fields.data !== undefined) watch.seeData(fields.data)
    return Buffer.from('\n\n')
  }
  // A line that has its end must not get a second one: that would be the blank line.
  const isMidLine = !/[\r\n]$/.test(rest.tail.toString('latin1'))
  return Buffer.from(`${isMidLine ? '\n' : ''}event: incomplete\n\n`)
}

function isWhole(data: string): boolean {
  try {
    return typeof JSON.parse(data) === 'object'
  } catch {
    return false
  }
}
