import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { closeHierarchy, type ScopeHierarchy, withIncluded } from '../../src/lib/scope-hierarchy.ts'

const close = (direct: Record<string, string[]>) => (closeHierarchy(direct) as { hierarchy: ScopeHierarchy }).hierarchy

describe('BC-13: a scope hierarchy', () => {
  it('includes through as many steps as there are, each scope once', () => {
    const hierarchy = close({ admin: ['write', 'audit'], write: ['read'], audit: ['read'] })
    expect(withIncluded(hierarchy, ['admin']).sort()).toEqual(['admin', 'audit', 'read', 'write'])
    expect(withIncluded(hierarchy, ['read', 'write'])).toEqual(['read', 'write'])
    expect(withIncluded(hierarchy, ['other'])).toEqual(['other'])
    expect(withIncluded({}, [])).toEqual([])
  })

  it('takes no name of Object for a scope', () => {
    expect(withIncluded(close({ admin: ['read'] }), ['constructor', '__proto__', 'toString'])).toEqual(['constructor', '__proto__', 'toString'])
  })

  it.each([
    [{ a: ['a'] }, 'a'],
    [{ a: ['b'], b: ['c'], c: ['a'] }, 'a'],
    [{ x: ['a'], a: ['b'], b: ['a'] }, 'a'],
  ])('finds the scope that would include itself: %j', (direct, circular) => {
    expect(closeHierarchy(direct)).toEqual({ circular })
  })

  it('of any acyclic hierarchy: nothing is lost, and including again adds nothing', () => {
    // An edge leads from an earlier to a later scope only, so there is no circle.
    const edges = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 20 })
    fc.assert(
      fc.property(edges, fc.subarray([...'abcdefgh']), (pairs, held) => {
        const direct: Record<string, string[]> = {}
        for (const [from, to] of pairs) if (from < to) direct['abcdefgh'.charAt(from)] = [...(direct['abcdefgh'.charAt(from)] ?? []), 'abcdefgh'.charAt(to)]
        const hierarchy = close(direct)
        const all = withIncluded(hierarchy, held)
        expect(all.slice(0, held.length)).toEqual(held)
        expect(withIncluded(hierarchy, all)).toEqual(all)
        for (const scope of all) for (const included of direct[scope] ?? []) expect(all).toContain(included)
      }),
    )
  })
})
