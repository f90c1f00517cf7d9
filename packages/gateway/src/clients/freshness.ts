const minMs = 60_000
const maxMs = 86_400_000
const unsaidMs = 300_000

/**
 * How long an answer stays fresh by its HTTP headers (RFC 9111 §4.2; CR-11), within our bounds of a minute and a day.
 *
 * @param now milliseconds since the epoch
 * @returns milliseconds; five minutes when the headers say nothing
 */
export function freshnessMs(headers: Headers, now: number): number {
  return Math.min(Math.max(said(headers, now) ?? unsaidMs, minMs), maxMs)
}

function said(headers: Headers, now: number): number | undefined {
  const control = (headers.get('cache-control') ?? '').toLowerCase()
  if (/(^|[\s,])no-(store|cache)\b/.test(control)) return 0
  const age = /(?:^|[\s,])s-maxage="?(\d{1,10})/.exec(control) ?? /(?:^|[\s,])max-age="?(\d{1,10})/.exec(control)
  const spent = Number.parseInt(headers.get('age') ?? '0', 10) || 0
  if (age) return (Number(age[1]) - spent) * 1000
  const expires = headers.get('expires')
  if (expires === null) return undefined
  const until = Date.parse(expires)
  const from = Date.parse(headers.get('date') ?? '')
  // RFC 9111 §5.3: an invalid date, "0" above all, is in the past.
  return Number.isNaN(until) ? 0 : until - (Number.isNaN(from) ? now : from)
}
