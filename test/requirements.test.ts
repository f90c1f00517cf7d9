import { beforeAll, describe, expect, it } from '@jest/globals'
import { citations } from './harness/citations.ts'
import { gaps, requirements } from './requirements.ts'

/*
 * Requirements are data: tests cite ids of the requirement table in their titles, and this file fails when one is cited by none and is no known gap. A gap leaves the list
 * with the first test that cites it.
 */

/** How many rows each group of the whole requirement table has, those that bind clients or runtimes alone included: what a test may cite. */
const groups: Record<string, number> = { PR: 14, AS: 11, CR: 22, AZ: 17, TK: 17, BC: 16, TR: 47, JR: 23, EL: 12, TS: 5, EX: 16 }

let cited: Map<string, string[]>
beforeAll(async () => {
  cited = await citations()
})

describe('the requirement table', () => {
  it('has every row once, and a place for each in its group', () => {
    const ids = requirements.map((row) => row.id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.filter(isUnknown)).toEqual([])
  })

  it('is cited for every MUST, MUST NOT and G-MUST that is no listed gap', () => {
    const binding = requirements.filter((row) => row.level.includes('MUST'))
    expect(binding.filter(({ id }) => !cited.has(id) && !Object.hasOwn(gaps, id)).map(({ id }) => id)).toEqual([])
  })

  it('is cited for everything else, too, or says why not', () => {
    expect(requirements.filter(({ id }) => !cited.has(id) && !Object.hasOwn(gaps, id)).map(({ id }) => id)).toEqual([])
  })

  it('lists no gap that a test now cites, and none that is no row', () => {
    expect(Object.keys(gaps).filter((id) => cited.has(id))).toEqual([])
    expect(Object.keys(gaps).filter((id) => !requirements.some((row) => row.id === id))).toEqual([])
  })

  it('gives a reason for each gap', () => {
    expect(Object.entries(gaps).filter(([, reason]) => reason.length < 20)).toEqual([])
  })

  it('knows every id that a test cites', () => {
    expect([...cited.keys()].filter(isUnknown)).toEqual([])
  })
})

function isUnknown(id: string): boolean {
  const [group = '', number] = id.split('-')
  return !(Number(number) >= 1 && Number(number) <= (groups[group] ?? 0))
}
