import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { readSseFields, replaceSseData, SseReader, sseEvent } from '../../src/lib/sse.ts'

/** Cuts a text into pieces at the given places. */
function pieces(bytes: Buffer, cuts: number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

function read(chunks: Buffer[], max = 10_000) {
  const reader = new SseReader(max)
  const blocks = chunks.flatMap((chunk) => reader.push(chunk))
  return { blocks, rest: reader.rest() }
}

const line = fc.constantFrom('data: {"a":1}', 'data:b', 'id: 5', ': comment', 'event: x', 'data: ü€😀', 'retry: 5', 'data')
const ending = fc.constantFrom('\n', '\r\n', '\r')
const stream = fc
  .array(
    fc.oneof(
      fc.tuple(line, ending).map((pair) => pair.join('')),
      ending,
    ),
    { maxLength: 30 },
  )
  .map((parts) => Buffer.from(parts.join('')))

describe('WHATWG HTML 9.2.6: event streams', () => {
  it('TR-36: blocks and rest joined are the bytes that came, however they were cut', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(500)), (bytes, cuts) => {
        const { blocks, rest } = read(pieces(bytes, cuts))
        expect(Buffer.concat([...blocks.map((block) => block.raw as Buffer), ...(rest?.raw ? [rest.raw] : [])]).equals(bytes)).toBe(true)
      }),
    )
  })

  it('what is read does not depend on where chunks end', () => {
    const said = (chunks: Buffer[]) =>
      read(chunks)
        .blocks.map((block) => readSseFields(block.raw as Buffer))
        .filter(({ data, id }) => data !== undefined || id !== undefined)
    fc.assert(fc.property(stream, fc.array(fc.nat(500)), (bytes, cuts) => expect(said(pieces(bytes, cuts))).toEqual(said([bytes]))))
  })

  it('gives a block as soon as its blank line is there', () => {
    const reader = new SseReader(1000)
    expect(reader.push(Buffer.from('data: 1\n'))).toHaveLength(0)
    expect(reader.push(Buffer.from('\n'))).toHaveLength(1)
    expect(reader.push(Buffer.from('data: 2\r\n\r'))).toHaveLength(1)
    expect(reader.push(Buffer.from('\ndata: 3\r\r'))).toHaveLength(1)
    expect(reader.rest()).toBeUndefined()
  })

  it.each([
    ['data: a\ndata: b\n\n', 'a\nb'],
    ['data:a\n\n', 'a'],
    ['data:  a\n\n', ' a'],
    ['\ufeffdata: a\n\n', 'a'],
    ['data\n\n', ''],
    [': data: a\n\n', undefined],
    ['id: 5\n\n', undefined],
  ])('reads the data of %j', (text, data) => expect(readSseFields(Buffer.from(text)).data).toBe(data))

  it('keeps id, event, retry and comments of a block whose data is replaced', () => {
    const block = replaceSseData(Buffer.from(': c\r\nevent: message\r\nid: 7\r\ndata: {"a":\r\ndata: 1}\r\nretry: 3\r\n\r\n'), '{"a":2}')
    expect(block.toString()).toBe(': c\nevent: message\nid: 7\nretry: 3\ndata: {"a":2}\n\n')
    expect(readSseFields(sseEvent('a\nb')).data).toBe('a\nb')
  })

  it('an event beyond the bound comes without its bytes, but with both ends, and the next is whole again', () => {
    const big = Buffer.from(`data: {"first":1,${'x'.repeat(50_000)},"last":2}\n\n`)
    const { blocks } = read(pieces(Buffer.concat([big, sseEvent('next')]), [100, 9000, 20_000, 40_000]), 20_000)
    expect(blocks).toHaveLength(2)
    expect(blocks[0]?.raw).toBeUndefined()
    expect(blocks[0]?.head.toString()).toMatch(/^data: \{"first":1,x/)
    expect(blocks[0]?.tail.toString()).toMatch(/"last":2\}\n\n$/)
    expect(blocks[1]?.raw?.toString()).toBe('data: next\n\n')
  })
})
