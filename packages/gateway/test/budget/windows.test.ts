import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type CalendarWindow, calendarWindow } from '../../src/budget/windows.ts'

const hour = 3_600_000
const at = (text: string) => Date.parse(text)
const windowOf = (kind: CalendarWindow, zone: string, now: string) => {
  const { startsAt, endsAt } = calendarWindow(kind, zone, at(now))
  return [new Date(startsAt).toISOString(), new Date(endsAt).toISOString()]
}

describe('calendar windows', () => {
  it.each<[CalendarWindow, string, string, string, string]>([
    ['minute', 'UTC', '2026-03-29T00:59:59.999Z', '2026-03-29T00:59:00.000Z', '2026-03-29T01:00:00.000Z'],
    ['hour', 'UTC', '2026-03-29T00:59:59.999Z', '2026-03-29T00:00:00.000Z', '2026-03-29T01:00:00.000Z'],
    ['hour', 'Asia/Kolkata', '2026-03-29T00:45:00Z', '2026-03-29T00:30:00.000Z', '2026-03-29T01:30:00.000Z'],
    ['day', 'UTC', '2026-12-31T23:59:59.999Z', '2026-12-31T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
    ['day', 'Europe/Berlin', '2026-07-01T22:00:00Z', '2026-07-01T22:00:00.000Z', '2026-07-02T22:00:00.000Z'],
    // 23 and 25 hours: clocks go on and back.
    ['day', 'Europe/Berlin', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z'],
    ['day', 'Europe/Berlin', '2026-10-25T12:00:00Z', '2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z'],
    // Midnight does not exist: the day begins at one.
    ['day', 'America/Havana', '2026-03-08T12:00:00Z', '2026-03-08T05:00:00.000Z', '2026-03-09T04:00:00.000Z'],
    // Midnight comes twice: the first one counts.
    ['day', 'America/Havana', '2026-11-01T12:00:00Z', '2026-11-01T04:00:00.000Z', '2026-11-02T05:00:00.000Z'],
    // Clocks go back across midnight, from the first minute of Sunday into Saturday: Sunday has begun once and for all.
    ['day', 'America/St_Johns', '2010-11-07T02:30:30Z', '2010-11-07T02:30:00.000Z', '2010-11-08T03:30:00.000Z'],
    ['day', 'America/St_Johns', '2010-11-07T02:45:00Z', '2010-11-07T02:30:00.000Z', '2010-11-08T03:30:00.000Z'],
    // A date that never was.
    ['day', 'Pacific/Apia', '2011-12-30T09:59:59Z', '2011-12-29T10:00:00.000Z', '2011-12-30T10:00:00.000Z'],
    ['day', 'Pacific/Apia', '2011-12-30T10:00:00Z', '2011-12-30T10:00:00.000Z', '2011-12-31T10:00:00.000Z'],
    ['week', 'UTC', '2026-11-22T23:59:59Z', '2026-11-16T00:00:00.000Z', '2026-11-23T00:00:00.000Z'],
    ['week', 'UTC', '2026-11-23T00:00:00Z', '2026-11-23T00:00:00.000Z', '2026-11-30T00:00:00.000Z'],
    ['week', 'Europe/Berlin', '2026-10-25T12:00:00Z', '2026-10-18T22:00:00.000Z', '2026-10-25T23:00:00.000Z'],
    ['week', 'UTC', '2027-01-01T12:00:00Z', '2026-12-28T00:00:00.000Z', '2027-01-04T00:00:00.000Z'],
    ['month', 'UTC', '2024-02-29T12:00:00Z', '2024-02-01T00:00:00.000Z', '2024-03-01T00:00:00.000Z'],
    ['month', 'America/New_York', '2026-12-31T23:00:00Z', '2026-12-01T05:00:00.000Z', '2027-01-01T05:00:00.000Z'],
    ['month', 'Australia/Lord_Howe', '2026-04-10T00:00:00Z', '2026-03-31T13:00:00.000Z', '2026-04-30T13:30:00.000Z'],
  ])('%s in %s at %s', (kind, zone, now, startsAt, endsAt) => {
    expect(windowOf(kind, zone, now)).toEqual([startsAt, endsAt])
  })

  it('refuses a zone that does not exist', () => {
    expect(() => calendarWindow('day', 'Europe/Atlantis', 0)).toThrow(RangeError)
  })

  it('gives every instant exactly one window, without gaps', () => {
    const zones = [
      'UTC',
      'Europe/Berlin',
      'America/Havana',
      'America/St_Johns',
      'Asia/Kathmandu',
      'Pacific/Apia',
      'Australia/Lord_Howe',
      'Africa/Cairo',
      'America/Sao_Paulo',
    ]
    const instants = fc.integer({ min: at('2000-01-01T00:00:00Z'), max: at('2035-01-01T00:00:00Z') })
    fc.assert(
      fc.property(fc.constantFrom(...zones), fc.constantFrom<CalendarWindow>('day', 'week', 'month'), instants, (zone, kind, now) => {
        const window = calendarWindow(kind, zone, now)
        expect(window.startsAt).toBeLessThanOrEqual(now)
        expect(window.endsAt).toBeGreaterThan(now)
        expect(calendarWindow(kind, zone, window.startsAt)).toEqual(window)
        expect(calendarWindow(kind, zone, window.endsAt - 1)).toEqual(window)
        expect(calendarWindow(kind, zone, window.endsAt).startsAt).toBe(window.endsAt)
        const hours = (window.endsAt - window.startsAt) / hour
        const [least, most] = { day: [22, 26], week: [165, 171], month: [27 * 24, 32 * 24] }[kind as 'day']
        expect(hours).toBeGreaterThanOrEqual(least as number)
        expect(hours).toBeLessThanOrEqual(most as number)
      }),
      { numRuns: 400 },
    )
  })
})
