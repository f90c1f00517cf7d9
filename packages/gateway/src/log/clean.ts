import type { LogEvent } from './events.ts'

/* Names that others choose are cut here; our own words may be longer. */
const nameLength = 128
const wordsLength = 600
const longFields: ReadonlySet<string> = new Set(['message', 'reason'])

type FieldOf<E> = E extends LogEvent ? Exclude<keyof E, 'event' | 'level' | 'time'> : never

/* The allow-list: what may stand in an event, in this order. A field that is not here is never written. */
const fields = {
  message: true,
  requestId: true,
  traceId: true,
  server: true,
  provider: true,
  subject: true,
  clientId: true,
  connectionId: true,
  httpMethod: true,
  method: true,
  tool: true,
  revision: true,
  grantType: true,
  scopes: true,
  outcome: true,
  decision: true,
  rule: true,
  dryRun: true,
  budgets: true,
  httpStatus: true,
  rpcCode: true,
  error: true,
  reason: true,
  clientGone: true,
  bytesIn: true,
  bytesOut: true,
  ms: true,
} as const satisfies Record<FieldOf<LogEvent>, true>

const fieldNames = Object.keys(fields)

/* What stands inside the two structured fields. */
const innerFields: Record<string, readonly string[]> = {
  budgets: ['name', 'cost', 'left', 'refused', 'dryRun', 'uncounted'],
  ms: ['total', 'authorize', 'policy', 'budget', 'grant', 'runtime'],
}

/** Cleans events: see {@link createCleaner}. */
export type Cleaner = (event: LogEvent, now: number) => LogEvent

/**
 * Makes events fit to be written: only fields of the allow-list, texts cut (names at 128 characters) with control and direction characters escaped, tokens
 * and query strings removed. The second line of defence: whoever writes an event puts no secret in.
 *
 * @param secrets values of the configuration that must never appear, whatever error message quotes them
 */
export function createCleaner(secrets: readonly string[]): Cleaner {
  const known = secrets.filter((secret) => secret.length >= 8)
  return (event, now) => {
    const clean: Record<string, unknown> = { event: event.event, level: event.level, time: event.time ?? now }
    for (const name of fieldNames) {
      const value = (event as unknown as Record<string, unknown>)[name]
      const cleaned = cleanValue(value, name, known)
      if (cleaned !== undefined) clean[name] = cleaned
    }
    return clean as unknown as LogEvent
  }
}

function cleanValue(value: unknown, name: string, secrets: readonly string[]): unknown {
  if (typeof value === 'string') return cleanText(value, longFields.has(name) ? wordsLength : nameLength, secrets)
  if (typeof value === 'number' || typeof value === 'boolean') return value
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => cleanValue(item, name, secrets))
  if (typeof value !== 'object' || value === null) return undefined
  const inner = innerFields[name] ?? []
  return Object.fromEntries(
    inner.flatMap((part) => {
      const cleaned = cleanValue((value as Record<string, unknown>)[part], part, secrets)
      return cleaned === undefined ? [] : [[part, cleaned]]
    }),
  )
}

/* Gateway tokens, JWTs, credentials after their scheme, and query strings. */
const secretShapes: readonly [RegExp, string][] = [
  [/emcy_(at|rt|ac)_[\w.~-]+/g, 'emcy_$1_[removed]'],
  [/\beyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)*/g, '[token removed]'],
  [/\b(Bearer|Basic|DPoP) +[\w.~+/=-]{8,}/gi, '$1 [removed]'],
  [/(https?:\/\/[^\s?#"'<>]*)[?#][^\s"'<>]*/gi, '$1?[removed]'],
]

/* Most texts are short, plain and harmless. What has none of these characters or words is changed by none of the shapes above. */
const suspicious = /[^\x20-\x7e]|emcy_|eyJ|bearer|basic|dpop|:\/\//i

function cleanText(text: string, length: number, secrets: readonly string[]): string {
  if (text.length <= length && !suspicious.test(text) && !secrets.some((secret) => text.includes(secret))) return text
  let clean = text.length > 4096 ? text.slice(0, 4096) : text
  for (const secret of secrets) clean = clean.replaceAll(secret, '[secret removed]')
  for (const [shape, instead] of secretShapes) clean = clean.replace(shape, instead)
  clean = clean.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`)
  return (clean.length > length ? `${clean.slice(0, length - 1)}…` : clean).toWellFormed()
}
