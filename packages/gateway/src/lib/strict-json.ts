/** Why a text is not JSON that two readers would understand alike. */
export type JsonFault = 'not UTF-8' | 'not JSON' | 'too deep' | 'duplicate member'

/** Thrown by {@link parseStrictJson}. */
export class StrictJsonError extends Error {
  readonly fault: JsonFault
  constructor(fault: JsonFault) {
    super(fault)
    this.name = 'StrictJsonError'
    this.fault = fault
  }
}

const quote = 0x22
const comma = 0x2c
const openArray = 0x5b
const backslash = 0x5c
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Parses JSON that has one meaning only (RFC 7493, I-JSON): UTF-8, no member name twice in an object, bounded in depth. Of a name given twice another reader may take
 * the other value, so what was judged here would not be what runs there.
 *
 * @param maxDepth most arrays and objects inside each other
 * @throws StrictJsonError
 */
export function parseStrictJson(bytes: Uint8Array, maxDepth: number): unknown {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw new StrictJsonError('not UTF-8')
  }
  const fault = findFault(text, maxDepth)
  if (fault) throw new StrictJsonError(fault)
  try {
    return JSON.parse(text)
  } catch {
    throw new StrictJsonError('not JSON')
  }
}

/** Where the string literal that begins at `start` has its closing quote; -1 when it has none. */
export function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = at
    while (text.charCodeAt(before - 1) === backslash) before--
    if ((at - before) % 2 === 0) return at
  }
  return -1
}

/* Looks at brackets and names only; the grammar is JSON.parse's matter. */
function findFault(text: string, maxDepth: number): JsonFault | undefined {
  const open: (Set<string> | undefined)[] = []
  let nameComes = false
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case quote: {
        const end = endOfString(text, at)
        if (end < 0) return 'not JSON'
        const names = open.at(-1)
        if (nameComes && names) {
          const name = plainName(text.slice(at, end + 1))
          if (name === undefined) return 'not JSON'
          if (names.has(name)) return 'duplicate member'
          names.add(name)
          nameComes = false
        }
        at = end
        break
      }
      case openObject:
      case openArray:
        nameComes = text.charCodeAt(at) === openObject
        if (open.push(nameComes ? new Set() : undefined) > maxDepth) return 'too deep'
        break
      case closeObject:
      case closeArray:
        open.pop()
        nameComes = false
        break
      case comma:
        nameComes = open.at(-1) !== undefined
        break
    }
  }
  return undefined
}

/* "\u0069d" and "id" are one name. */
function plainName(literal: string): string | undefined {
  if (!literal.includes('\\')) return literal.slice(1, -1)
  try {
    return JSON.parse(literal) as string
  } catch {
    return undefined
  }
}

/**
 * Parses JSON so that {@link stringifyExactJson} writes each number as it came: `1.0` stays `1.0`, and integers beyond 2^53 keep their digits.
 *
 * @throws SyntaxError
 */
export function parseExactJson(text: string): unknown {
  return JSON.parse(text, ((_name: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && context?.source !== undefined && String(value) !== context.source ? rawNumber(context.source) : value) as (
    this: unknown,
    key: string,
    value: unknown,
  ) => unknown)
}

/** The counterpart of {@link parseExactJson}. */
export function stringifyExactJson(value: unknown): string {
  return JSON.stringify(value)
}

/* JSON.rawJSON (ES2026, in Node since 21) is not in TypeScript's library yet. */
function rawNumber(source: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(source)
}
