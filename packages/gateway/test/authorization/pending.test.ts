import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { beginPending, decidePending, findPending, newPendingId, openSecrets, type Pending, savePending, takePending } from '../../src/authorization/pending.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { memoryStore } from '../../src/store/memory.ts'

const request = {
  clientId: 'cli',
  redirectUri: 'https://app.example/',
  state: undefined,
  challenge: 'c',
  server: 'mcp',
  scopes: [],
  prompt: undefined,
}

/** A store whose own expiry never comes: the record's has to do. */
function setUp() {
  let now = 1_000_000
  const deps = {
    store: memoryStore({ clock: () => 1_000_000 }),
    keys: createKeyRing(['a secret of the test, long enough for the ring']),
    clock: () => now,
    random: (bytes: number) => randomBytes(bytes).toString('base64url'),
  }
  const begin = () => beginPending(deps, { id: newPendingId(deps), request, browser: 'b', expected: undefined })
  const found = async (name: string) => (await findPending(deps, name)) as Pending
  const advance = (seconds: number) => {
    now += seconds * 1000
  }
  return { deps, begin, found, advance }
}

describe('AZ-11: a transaction', () => {
  it('lives ten minutes by its own clock', async () => {
    const { deps, begin, found, advance } = setUp()
    const name = begin()
    advance(599)
    const pending = await found(name)
    expect(pending).toMatchObject({ phase: 'consent', request: { clientId: 'cli' } })
    advance(1)
    expect(await findPending(deps, name)).toBeUndefined()
    expect(await decidePending(deps, pending, { phase: 'answered', decision: 'allow', secrets: {} })).toBeUndefined()
  })

  it('is decided once: of twenty at once one wins, and all read what it wrote', async () => {
    const { deps, begin, found } = setUp()
    const pending = await found(begin())
    const goOns = Array.from({ length: 20 }, (_, index) => `https://x.example/${index}`)
    const decided = await Promise.all(goOns.map((goOn) => decidePending(deps, pending, { phase: 'downstream', decision: 'allow', secrets: { goOn } })))
    expect(decided.filter((each) => each?.won)).toHaveLength(1)
    expect(new Set(decided.map((each) => each && openSecrets(deps, each.pending).goOn)).size).toBe(1)
  })

  it('is taken once, and nothing brings it back: neither its name nor another decision', async () => {
    const { deps, begin, found } = setUp()
    const name = begin()
    const pending = await found(name)
    await decidePending(deps, pending, { phase: 'downstream', decision: 'allow', secrets: { goOn: 'https://x.example/' } })
    expect(await findPending(deps, name)).toMatchObject({ phase: 'downstream' })
    expect((await Promise.all(Array.from({ length: 20 }, () => takePending(deps, pending.id)))).filter(Boolean)).toHaveLength(1)
    expect([await findPending(deps, name), await findPending(deps, pending.id)]).toEqual([undefined, undefined])
    expect(await decidePending(deps, pending, { phase: 'downstream', decision: 'allow', secrets: {} })).toBeUndefined()
  })

  it('that nobody has decided is stored nowhere, and nobody else can write its name', async () => {
    const { deps, begin, found } = setUp()
    const name = begin()
    const { id } = await found(name)
    expect(await deps.store.get(`pending:${id}`)).toBeUndefined()
    const changed = `${name.slice(0, 40)}${name[40] === 'A' ? 'B' : 'A'}${name.slice(41)}`
    const foreign = createKeyRing(['another secret, also long enough for the ring']).seal(JSON.stringify(await found(name)), 'transaction')
    const elsewhere = deps.keys.seal(JSON.stringify(await found(name)), 'pushed request')
    for (const other of [id, changed, foreign, elsewhere, '', 'x'.repeat(10_000)]) expect(await findPending(deps, other)).toBeUndefined()
  })

  it('that was stored to be confirmed, and is there no more, is gone', async () => {
    const { deps } = setUp()
    const stored = await savePending(deps, { id: newPendingId(deps), phase: 'confirm', request, browser: 'b', expected: undefined, decision: undefined }, {})
    await deps.store.delete(`pending:${stored.id}`)
    expect(await decidePending(deps, stored, { phase: 'answered', decision: 'allow', secrets: {} })).toBeUndefined()
  })

  it('keeps its secrets sealed, under its own id', async () => {
    const { deps } = setUp()
    const base = { phase: 'downstream', request, browser: 'b', expected: undefined, decision: 'allow' } as const
    const leg = { state: 'the state', nonce: 'the nonce', verifier: 'the verifier' }
    const pending = await savePending(deps, { ...base, id: newPendingId(deps) }, { leg })
    expect(JSON.stringify(pending)).not.toContain('the verifier')
    expect(openSecrets(deps, pending)).toEqual({ leg })
    expect(openSecrets(deps, { ...pending, id: newPendingId(deps) })).toEqual({})
  })
})
