import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { decidePending, newPendingId, openSecrets, readPending, savePending, takePending } from '../../src/authorization/pending.ts'
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
  const begin = () => savePending(deps, { id: newPendingId(deps), phase: 'consent', request, browser: 'b', expected: undefined, decision: undefined })
  const advance = (seconds: number) => {
    now += seconds * 1000
  }
  return { deps, begin, advance }
}

describe('AZ-11: a transaction', () => {
  it('lives ten minutes by its own clock', async () => {
    const { deps, begin, advance } = setUp()
    const { id } = await begin()
    advance(599)
    expect(await readPending(deps, id)).toMatchObject({ id, phase: 'consent' })
    advance(1)
    expect(await readPending(deps, id)).toBeUndefined()
    expect(await decidePending(deps, id, { phase: 'answered', decision: 'allow', secrets: {} })).toBeUndefined()
  })

  it('is decided once: of twenty at once one wins, and all read what it wrote', async () => {
    const { deps, begin } = setUp()
    const { id } = await begin()
    const goOns = Array.from({ length: 20 }, (_, index) => `https://x.example/${index}`)
    const decided = await Promise.all(goOns.map((goOn) => decidePending(deps, id, { phase: 'downstream', decision: 'allow', secrets: { goOn } })))
    expect(decided.filter((each) => each?.won)).toHaveLength(1)
    expect(new Set(decided.map((each) => each && openSecrets(deps, each.pending).goOn)).size).toBe(1)
  })

  it('is taken once', async () => {
    const { deps, begin } = setUp()
    const { id } = await begin()
    expect((await Promise.all(Array.from({ length: 20 }, () => takePending(deps, id)))).filter(Boolean)).toHaveLength(1)
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
