import type { Budget } from '../rules.ts'

/** A stretch of time in which a budget is counted. Times are milliseconds since the epoch; the end is not part of it. */
export interface Window {
  startsAt: number
  endsAt: number
}

/** A window of the calendar. */
export type CalendarWindow = Exclude<Budget['window'], { seconds: number }>

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** A local date; month counts from 1, and day may run over either end of the month. */
type LocalDate = [year: number, month: number, day: number]

const formats = new Map<string, Intl.DateTimeFormat>()
const latest = new Map<string, Window>()

/**
 * The calendar window that `now` is in. Days begin at the first instant of the local date, so with daylight saving a day has 23 to 25 hours and still exactly
 * one budget; weeks begin on Monday.
 *
 * @param timeZone IANA name
 * @throws RangeError for a zone that does not exist
 */
export function calendarWindow(kind: CalendarWindow, timeZone: string, now: number): Window {
  const key = `${kind} ${timeZone}`
  const known = latest.get(key)
  if (known && known.startsAt <= now && now < known.endsAt) return known
  const found = kind === 'minute' || kind === 'hour' ? clockWindow(kind === 'hour' ? hour : minute, timeZone, now) : dateWindow(kind, timeZone, now)
  latest.set(key, found)
  return found
}

function clockWindow(length: number, timeZone: string, now: number): Window {
  const offset = localTime(timeZone, now) - now
  const startsAt = Math.floor((now + offset) / length) * length - offset
  return { startsAt, endsAt: startsAt + length }
}

function dateWindow(kind: 'day' | 'week' | 'month', timeZone: string, now: number): Window {
  const local = new Date(localTime(timeZone, now))
  let date: LocalDate = [local.getUTCFullYear(), local.getUTCMonth() + 1, local.getUTCDate()]
  // Where clocks go back across midnight the old date is seen again for a while; the new one has begun all the same.
  if (beginning(timeZone, nextDay(date)) <= now) date = nextDay(date)
  const [year, month, dayOfMonth] = date
  if (kind === 'month') return { startsAt: beginning(timeZone, [year, month, 1]), endsAt: beginning(timeZone, [year, month + 1, 1]) }
  const sinceMonday = kind === 'week' ? (new Date(Date.UTC(year, month - 1, dayOfMonth)).getUTCDay() + 6) % 7 : 0
  const first = dayOfMonth - sinceMonday
  return { startsAt: beginning(timeZone, [year, month, first]), endsAt: beginning(timeZone, [year, month, first + (kind === 'week' ? 7 : 1)]) }
}

function nextDay([year, month, dayOfMonth]: LocalDate): LocalDate {
  const next = new Date(Date.UTC(year, month - 1, dayOfMonth + 1))
  return [next.getUTCFullYear(), next.getUTCMonth() + 1, next.getUTCDate()]
}

/* The first instant of a local date. Midnight may come twice (the first counts) or never (then the date begins where the clocks went on). */
function beginning(timeZone: string, [year, month, dayOfMonth]: LocalDate): number {
  const midnight = Date.UTC(year, month - 1, dayOfMonth)
  const offsets = [midnight - day, midnight + day].map((around) => localTime(timeZone, around) - around)
  const exact = offsets.map((offset) => midnight - offset).filter((instant) => localTime(timeZone, instant) === midnight)
  if (exact.length > 0) return Math.min(...exact)
  let before = midnight - 2 * day
  let from = midnight + 2 * day
  while (from - before > 1) {
    const middle = Math.floor((before + from) / 2)
    if (localTime(timeZone, middle) >= midnight) from = middle
    else before = middle
  }
  return from
}

/* What the clock on the wall shows, as if it were UTC. */
function localTime(timeZone: string, instant: number): number {
  let format = formats.get(timeZone)
  if (!format) {
    const two = '2-digit'
    format = new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', year: 'numeric', month: two, day: two, hour: two, minute: two, second: two })
    formats.set(timeZone, format)
  }
  const parts: Record<string, number> = {}
  for (const { type, value } of format.formatToParts(instant)) parts[type] = Number(value)
  const { year = 0, month = 1, day: dayOfMonth = 1, hour: hours = 0, minute: minutes = 0, second = 0 } = parts
  return Date.UTC(year, month - 1, dayOfMonth, hours, minutes, second) + (((instant % 1000) + 1000) % 1000)
}
