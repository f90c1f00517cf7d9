import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { KeyvMysql } from '@keyv/mysql'
import { Keyv } from 'keyv'
import { keyvStore } from '../../src/store/keyv-store.ts'
import type { Store } from '../../src/store/store.ts'
import type { TestServer } from '../servers/program.ts'
import { startMariadb } from '../servers/sql.ts'

const minute = 60_000
let server: TestServer
let adapter: KeyvMysql
beforeAll(async () => {
  server = await startMariadb()
  adapter = new KeyvMysql(`mysql://app@127.0.0.1:${server.port}/app`)
}, 120_000)
afterAll(async () => {
  await adapter.disconnect()
  await server.remove()
})

const sql = (text: string) => adapter.query(text as never) as unknown as Promise<Record<string, unknown>[]>

function open(settings: object = {}): Store {
  const keyv = new Keyv({ store: new KeyvMysql({ uri: `mysql://app@127.0.0.1:${server.port}/app`, ...settings } as never) as never })
  return keyvStore(keyv, { waitMs: 5_000 })
}

describe('MariaDB', () => {
  it('gets its table once, from any number of stores at once', async () => {
    for (let round = 0; round < 5; round++) {
      await sql('DROP TABLE IF EXISTS emcy_gateway')
      const stores = Array.from({ length: 8 }, () => open())
      const won = await Promise.all(stores.map((store) => store.compareAndSet('key', undefined, 'value', minute)))
      expect(won.filter(Boolean).length).toBe(1)
      await Promise.all(stores.map((store) => store.close()))
    }
  }, 60_000)

  it('removes expired rows by the index, and never reads the whole table', async () => {
    const store = open({ connectionLimit: 1 })
    await store.set('first', 'value', minute)
    await sql("INSERT INTO emcy_gateway SELECT CONCAT('live:', seq), 'v', 0, UNIX_TIMESTAMP() * 1000 + 3600000 FROM seq_1_to_30000")
    await sql("INSERT INTO emcy_gateway SELECT CONCAT('dead:', seq), 'v', 0, seq FROM seq_1_to_250")
    const read = async () => Number((await sql("SHOW GLOBAL STATUS LIKE 'Handler_read_rnd_next'"))[0]?.Value)
    const dead = async () => (await sql("SELECT k FROM emcy_gateway WHERE k LIKE 'dead:%'")).length
    const before = await read()
    const end = performance.now() + 10_000
    for (let left = 250; left > 0; left = await dead()) {
      expect(performance.now()).toBeLessThan(end)
      await store.set('again', 'value', minute)
    }
    // A scan would count every live row; what is counted is the status table itself.
    expect((await read()) - before).toBeLessThan(20_000)
    expect((await sql("SELECT COUNT(*) AS count FROM emcy_gateway WHERE k LIKE 'live:%'"))[0]?.count).toBe(30_000)
    await store.close()
  }, 60_000)

  it('counts rows right whatever flags and shapes the adapter asks of its driver', async () => {
    for (const settings of [{ flags: ['-FOUND_ROWS'] }, { rowsAsArray: true, supportBigNumbers: true, bigNumberStrings: true }, { timezone: '+05:00' }]) {
      const store = open(settings)
      const key = `flags:${JSON.stringify(settings)}`
      expect(await store.compareAndSet(key, undefined, 'a', minute)).toBe(true)
      expect(await store.compareAndSet(key, undefined, 'a', minute)).toBe(false)
      // The same value with the same end of life changes nothing that MySQL would count.
      const won = await Promise.all([1, 2, 3].map(() => store.compareAndSet(key, 'a', 'a', minute)))
      expect(won).toEqual([true, true, true])
      expect(await store.take(key)).toBe('a')
      expect(await store.take(key)).toBeUndefined()
      expect(await store.spend(key, 2, 5, minute)).toEqual({ allowed: true, used: 2 })
      expect(await store.spend(key, 0, 5, minute)).toEqual({ allowed: true, used: 2 })
      expect(await store.spend(key, -9, 5, minute)).toEqual({ allowed: true, used: 0 })
      expect(await store.spend(key, -9, 5, minute)).toEqual({ allowed: true, used: 0 })
      await store.close()
    }
  })

  it('leaves nothing that a taker took for longer than ten seconds', async () => {
    const store = open()
    await store.set('one-off', 'secret', minute)
    expect(await store.take('one-off')).toBe('secret')
    const rows = await sql("SELECT exp - UNIX_TIMESTAMP() * 1000 AS life FROM emcy_gateway WHERE k LIKE 'taken:%'")
    expect(rows.length).toBeGreaterThan(0)
    for (const { life } of rows) expect(Number(life)).toBeLessThanOrEqual(11_000)
    await store.close()
  })
})
