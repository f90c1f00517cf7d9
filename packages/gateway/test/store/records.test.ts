import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { StoreUnavailable } from '../../src/errors/errors.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { changeRecord, parseRecord, readRecord } from '../../src/store/records.ts'
import { type RecordKind, recordKey, schema } from '../../src/store/schema.ts'

/** A kind of record in its third version, which reads what the first two wrote. */
const kind: RecordKind = {
  prefix: 'thing',
  key: 'ID',
  version: 3,
  about: 'for this test',
  life: 'short',
  upgrade: {
    1: ({ name, ...rest }) => ({ ...rest, v: 2, names: [name] }),
    2: (old) => ({ ...old, v: 3, count: (old.names as string[]).length }),
  },
}

interface Thing {
  v: 3
  names: string[]
  count: number
}

const lifeMs = 60_000

describe('a record of an older version', () => {
  it.each([
    [1, { v: 1, name: 'ann' }],
    [2, { v: 2, names: ['ann'] }],
    [3, { v: 3, names: ['ann'], count: 1 }],
  ])('%d is read as one of today', async (_version, old) => {
    const store = memoryStore()
    await store.set('thing:1', JSON.stringify(old), lifeMs)
    expect((await readRecord<Thing>(store, kind, 'thing:1'))?.value).toEqual({ v: 3, names: ['ann'], count: 1 })
  })

  it('is written back in the new version, and by compare-and-set against what stood there', async () => {
    const store = memoryStore()
    await store.set('thing:1', JSON.stringify({ v: 1, name: 'ann' }), lifeMs)
    const add = (name: string) =>
      changeRecord<Thing, number>(store, kind, 'thing:1', (current) => {
        const names = [...(current?.names ?? []), name]
        return { do: 'write', next: { v: 3, names, count: names.length }, ttlMs: lifeMs, answer: names.length }
      })
    expect((await Promise.all([add('ben'), add('cora'), add('dan')])).sort()).toEqual([2, 3, 4])
    const { names, ...rest } = JSON.parse((await store.get('thing:1')) as string)
    expect([names[0], names.slice(1).sort(), rest]).toEqual(['ann', ['ben', 'cora', 'dan'], { v: 3, count: 4 }])
  })

  it('stays as it is while it is only read', async () => {
    const store = memoryStore()
    const raw = JSON.stringify({ v: 1, name: 'ann' })
    await store.set('thing:1', raw, lifeMs)
    await readRecord<Thing>(store, kind, 'thing:1')
    await changeRecord<Thing, void>(store, kind, 'thing:1', () => ({ do: 'keep', answer: undefined }))
    expect(await store.get('thing:1')).toBe(raw)
  })
})

describe('a record that this gateway does not know', () => {
  it.each([
    ['newer', { v: 4 }],
    ['without a step from its version', { v: 0 }],
    ['without a version', { names: [] }],
    ['of a version that is no number', { v: '3' }],
    ['of a version between two', { v: 2.5 }],
  ])('%s: fails closed and stays', async (_what, record) => {
    const store = memoryStore()
    const raw = JSON.stringify(record)
    await store.set('thing:1', raw, lifeMs)
    await expect(readRecord(store, kind, 'thing:1')).rejects.toBeInstanceOf(StoreUnavailable)
    const write = changeRecord<Thing, void>(store, kind, 'thing:1', () => ({ do: 'remove', answer: undefined }))
    await expect(write).rejects.toBeInstanceOf(StoreUnavailable)
    expect(await store.get('thing:1')).toBe(raw)
  })

  it('is refused for every kind of the schema alike', () => {
    for (const [name, { version }] of Object.entries(schema)) {
      expect(() => parseRecord(name as keyof typeof schema, JSON.stringify({ v: version + 1 }))).toThrow(StoreUnavailable)
      expect(parseRecord(name as keyof typeof schema, JSON.stringify({ v: version }))).toEqual({ v: version })
    }
  })
})

describe('the schema', () => {
  it('has a step from every version that was ever written to the next', () => {
    for (const { version, upgrade } of Object.values(schema) as RecordKind[]) {
      expect(Object.keys(upgrade).map(Number)).toEqual(Array.from({ length: version - 1 }, (_, index) => index + 1))
    }
  })

  it('gives each kind a prefix of its own, none the beginning of another with its colon', () => {
    const prefixes = Object.values(schema).map(({ prefix }) => `${prefix}:`)
    for (const prefix of prefixes) expect(prefixes.filter((other) => other.startsWith(prefix))).toEqual([prefix])
  })

  it('makes keys that fit every backend and never meet', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 4 }), fc.array(fc.string(), { minLength: 1, maxLength: 4 }), (one, two) => {
        const key = recordKey('grant', ...one)
        expect(key.length).toBeLessThanOrEqual(200)
        expect(key).toMatch(/^grant:[\w:~-]+$/)
        if (JSON.stringify(one) !== JSON.stringify(two)) expect(recordKey('grant', ...two)).not.toBe(key)
      }),
    )
  })
})
