import { type ChildProcess, execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, describe, expect, it } from '@jest/globals'
import { ConfigError, StoreUnavailable } from '../../src/errors/errors.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'
import { scratchFolder } from './scratch.ts'

const minute = 60_000
const scratch = scratchFolder()
afterAll(scratch.remove)

let files = 0
const newPath = (): string => scratch.path(`store-${files++}.db`)

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

function start(file: string, argument: string): ChildProcess {
  const child = fork(new URL(file, import.meta.url), [argument])
  children.push(child)
  return child
}

async function lockFile(path: string): Promise<ChildProcess> {
  const holder = start('./hold-lock.ts', path)
  await once(holder, 'message')
  return holder
}

async function release(holder: ChildProcess): Promise<void> {
  const ended = once(holder, 'exit')
  holder.send('release')
  await ended
}

/** The longest time for which nothing else ran here while `work` was under way, in milliseconds. */
async function longestPause(work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let last = performance.now()
  let going = true
  const measured = (async () => {
    while (going) {
      await new Promise((resolve) => setImmediate(resolve))
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }
  })()
  await work()
  going = false
  await measured
  return longest
}

const writes: Record<string, (store: Store) => Promise<unknown>> = {
  set: (store) => store.set('value', 'new', minute),
  delete: (store) => store.delete('value'),
  take: (store) => store.take('value'),
  compareAndSet: (store) => store.compareAndSet('value', 'old', 'new', minute),
  spend: (store) => store.spend('counter', 1, 5, minute),
  refund: (store) => store.spend('counter', -1, 5, minute),
}

describe('while another process holds the write lock', () => {
  it('reads go on, writes wait without blocking this process, and all are done when it lets go', async () => {
    const path = newPath()
    const store = sqliteStore(path, { waitMs: 10_000 })
    await store.set('value', 'old', minute)
    const holder = await lockFile(path)
    let results: unknown[] = []
    const pause = await longestPause(async () => {
      const waiting = Promise.all([
        ...Array.from({ length: 100 }, () => store.spend('counter', 1, 60, minute)),
        store.compareAndSet('value', 'old', 'new', minute),
      ])
      expect(await store.get('value')).toBe('old')
      await new Promise((resolve) => setTimeout(resolve, 600))
      await release(holder)
      results = await waiting
    })
    expect(pause).toBeLessThan(300)
    expect(results.pop()).toBe(true)
    expect((results as { allowed: boolean }[]).filter((spent) => spent.allowed)).toHaveLength(60)
    expect(await store.get('value')).toBe('new')
    await store.close()
  })

  it.each(Object.entries(writes))('%s is given up in time, and then surely has not happened', async (_, write) => {
    const path = newPath()
    const store = sqliteStore(path, { waitMs: 60 })
    await store.set('value', 'old', minute)
    await store.spend('counter', 2, 5, minute)
    const holder = await lockFile(path)
    const began = performance.now()
    await expect(write(store)).rejects.toMatchObject({ code: 'store_unavailable', reason: 'sqlite: another process held the lock for 60 ms' })
    expect(performance.now() - began).toBeLessThan(1_000)
    await release(holder)
    expect(await store.get('value')).toBe('old')
    expect(await store.spend('counter', 0, 5, minute)).toEqual({ allowed: true, used: 2 })
    expect(await store.take('value')).toBe('old')
    await store.close()
  })

  it('a process that is killed with the lock leaves it to others', async () => {
    const path = newPath()
    const store = sqliteStore(path, { waitMs: 10_000 })
    const holder = await lockFile(path)
    const waiting = store.set('value', 'new', minute)
    holder.kill('SIGKILL')
    await waiting
    expect(await store.get('value')).toBe('new')
    await store.close()
  })
})

describe('a file', () => {
  it('outlives its process, killed in the middle of its work, with all that was told done', async () => {
    const path = newPath()
    const child = start('./crash.ts', path)
    let told = -1
    child.on('message', (index: number) => {
      told = index
      if (index === 20) child.kill('SIGKILL')
    })
    await once(child, 'exit')
    expect(told).toBeGreaterThanOrEqual(20)
    const store = sqliteStore(path)
    expect(Number(await store.get('last'))).toBeGreaterThanOrEqual(told)
    await store.close()
  })

  it('is kept in write-ahead mode, so that readers do not wait for a writer', async () => {
    const path = newPath()
    const store = sqliteStore(path)
    const looker = new DatabaseSync(path)
    expect(looker.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
    looker.close()
    await store.close()
  })

  it('is closed once, however often it is told', async () => {
    const store = sqliteStore(newPath())
    await store.close()
    await store.close()
    await expect(store.get('a')).rejects.toBeInstanceOf(StoreUnavailable)
  })

  it('that is no database, or a newer one, is refused and left as it is', () => {
    const garbage = newPath()
    writeFileSync(garbage, 'not a database, but long enough to be looked at. '.repeat(40))
    expect(() => sqliteStore(garbage)).toThrow(ConfigError)
    expect(() => sqliteStore(garbage)).toThrow(/cannot open the SQLite file .*not a database/)
    const newer = newPath()
    const database = new DatabaseSync(newer)
    database.exec('PRAGMA user_version = 99')
    database.close()
    expect(() => sqliteStore(newer)).toThrow(/written by a newer version of the gateway/)
  })

  it('that breaks under the store is an outage, never an absence', async () => {
    const path = newPath()
    const store = sqliteStore(path)
    await store.set('value', 'old', minute)
    const other = new DatabaseSync(path)
    other.exec('DROP TABLE entries')
    other.close()
    await expect(store.get('value')).rejects.toMatchObject({ code: 'store_unavailable', reason: expect.stringContaining('no such table') })
    await expect(store.take('value')).rejects.toBeInstanceOf(StoreUnavailable)
    await store.close()
  })
})

describe('a full disk', () => {
  /** Runs fill-disk.ts where no file can grow beyond 200 kB. */
  async function fill(path: string, kind: string): Promise<{ done: number; code?: string }> {
    const script = fileURLToPath(new URL('./fill-disk.ts', import.meta.url))
    const { stdout } = await promisify(execFile)('sh', ['-c', 'trap "" XFSZ; ulimit -f 400; exec "$@"', 'sh', process.execPath, script, path, kind])
    return JSON.parse(stdout)
  }

  it.each(['set', 'spend', 'take'])('is told by %s: what was told done is done, and nothing else', async (kind) => {
    const path = newPath()
    const before = sqliteStore(path)
    for (let index = 0; index < 200; index++) await before.set(`value:${index}`, 'x'.repeat(200), minute)
    await before.close()
    const { done, code } = await fill(path, kind)
    expect({ code, some: done > 5, all: done >= 200 }).toEqual({ code: 'store_unavailable', some: true, all: false })
    const store = sqliteStore(path)
    if (kind === 'set') expect(await store.get('last')).toBe(String(done))
    if (kind === 'spend') expect(await store.spend('counter', 0, 1_000_000, minute)).toEqual({ allowed: true, used: done })
    if (kind === 'take') expect([await store.get(`value:${done - 1}`), await store.get(`value:${done}`)]).toEqual([undefined, 'x'.repeat(200)])
    await store.close()
  })
})

describe('expired rows', () => {
  it('are removed by later writes, a bounded batch at a time', async () => {
    let now = 1_000_000
    const path = newPath()
    const store = sqliteStore(path, { clock: () => now })
    for (let index = 0; index < 250; index++) await store.set(`short:${index}`, 'a', 1_000)
    await store.set('long', 'a', minute)
    const looker = new DatabaseSync(path)
    const rows = () => Number(looker.prepare('SELECT count(*) AS n FROM entries').get()?.n)
    expect(rows()).toBe(251)
    now += 2_000
    const counts: number[] = []
    for (let index = 0; index < 3; index++) {
      await store.set(`later:${index}`, 'a', minute)
      counts.push(rows())
    }
    expect(counts).toEqual([152, 53, 4])
    now += 500
    await store.set('short:again', 'a', 1)
    now += 100
    await store.set('soon after', 'a', minute)
    // Not at every write: within a second of a batch that found few there is nothing worth a look.
    expect(rows()).toBe(6)
    now += 1_000
    await store.set('a second later', 'a', minute)
    expect(rows()).toBe(6)
    expect(await store.get('long')).toBe('a')
    looker.close()
    await store.close()
  })

  it('are found by their index', () => {
    const path = newPath()
    sqliteStore(path)
    const looker = new DatabaseSync(path)
    const plan = looker.prepare('EXPLAIN QUERY PLAN SELECT rowid FROM entries WHERE expires <= ? ORDER BY expires LIMIT 100').all(1)
    expect(JSON.stringify(plan)).toContain('USING COVERING INDEX entries_by_expiry')
    looker.close()
  })
})

describe('a counter and a value', () => {
  it('are kept apart', async () => {
    const store = sqliteStore(newPath())
    await store.set('a', '5', minute)
    await expect(store.spend('a', 1, 10, minute)).rejects.toBeInstanceOf(TypeError)
    await expect(store.spend('a', -1, 10, minute)).rejects.toBeInstanceOf(TypeError)
    expect(await store.get('a')).toBe('5')
    await store.close()
  })
})

describe('many processes', () => {
  it('open, and last close, a file that is not there yet at the same time', async () => {
    const openers = Array.from({ length: 5 }, () => start('./open-on-order.ts', ''))
    await Promise.all(openers.map((opener) => once(opener, 'message')))
    for (let round = 0; round < 40; round++) {
      const path = newPath()
      const answers = Promise.all(openers.map((opener) => once(opener, 'message')))
      for (const opener of openers) opener.send(path)
      expect((await answers).map(([answer]) => answer)).toEqual(openers.map(() => 'done'))
      const store = sqliteStore(path)
      for (const opener of openers) expect(await store.get(`by ${opener.pid}`)).toBe('here')
      await store.close()
    }
  }, 60_000)
})
