import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { globMatches } from '../../src/lib/glob.ts'

describe('globs', () => {
  it.each([
    ['todos_*', 'todos_add', true],
    ['todos_*', 'todos_', true],
    ['todos_*', 'Todos_add', false],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['?', '', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['*_delete', 'x_delete_y', false],
    ['*a*b', 'xaxxb', true],
    ['a.c', 'abc', false],
    ['[ab]', 'a', false],
    ['a**b', 'ab', true],
  ])('%s on %s: %s', (glob, text, matches) => {
    expect(globMatches(glob, text)).toBe(matches)
  })

  it('says what the regular expression of the same meaning says', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', '*', '?'), { maxLength: 10 }).map((list) => list.join(''))
    const text = fc.array(fc.constantFrom('a', 'b'), { maxLength: 14 }).map((list) => list.join(''))
    fc.assert(
      fc.property(letters, text, (glob, given) => {
        const expression = new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`)
        expect(globMatches(glob, given)).toBe(expression.test(given))
      }),
      { numRuns: 2000 },
    )
  })

  it('stays quick on what makes backtracking matchers slow', () => {
    const startedAt = performance.now()
    expect(globMatches(`${'*a'.repeat(60)}*b`, 'a'.repeat(100_000))).toBe(false)
    expect(performance.now() - startedAt).toBeLessThan(2_000)
  })
})
