import { fork } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { KeyvPostgres } from '@keyv/postgres'
import KeyvRedis from '@keyv/redis'
import { Keyv } from 'keyv'
import { Keyv as Keyv5 } from 'keyv5'
import { Pool } from 'pg'
import { ConfigError } from '../../src/errors/errors.ts'
import { keyvStore } from '../../src/store/keyv-store.ts'
import { openStore } from '../../src/store/open-store.ts'
import { recordKey } from '../../src/store/schema.ts'
import type { TestServer } from '../servers/program.ts'
import { startPostgres } from '../servers/sql.ts'

const minute = 60_000
let server: TestServer
let admin: Pool
beforeAll(async () => {
  server = await startPostgres()
  admin = new Pool({ connectionString: addressOf('postgres') })
}, 120_000)
afterAll(async () => {
  await admin.end()
  await server.remove()
})

function addressOf(database: string, user = 'app'): string {
  return `postgres://${user}@127.0.0.1:${server.port}/${database}`
}

/** An empty database, and a pool on it. */
async function emptyDatabase(name: string): Promise<Pool> {
  await admin.query(`CREATE DATABASE ${name}`)
  return new Pool({ connectionString: addressOf(name) })
}

async function until(met: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await met())) {
    if (performance.now() > end) throw new Error('not met within 10 s')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

describe('PostgreSQL', () => {
  it('gets its table once, from any number of stores at once', async () => {
    for (let round = 0; round < 10; round++) {
      const pool = await emptyDatabase(`created${round}`)
      const stores = Array.from({ length: 8 }, () => openStore(addressOf(`created${round}`), 5_000))
      const won = await Promise.all(stores.map((store) => store.compareAndSet('key', undefined, 'value', minute)))
      expect(won.filter(Boolean).length).toBe(1)
      const { rows } = await pool.query("SELECT indexname FROM pg_indexes WHERE tablename = 'emcy_gateway' ORDER BY 1")
      expect(rows).toEqual([{ indexname: 'emcy_gateway_exp' }, { indexname: 'emcy_gateway_pkey' }])
      await Promise.all([...stores.map((store) => store.close()), pool.end()])
    }
  }, 60_000)

  it('removes expired rows by the index, and never reads the whole table', async () => {
    const pool = await emptyDatabase('expiring')
    const store = openStore(pool, 2_000)
    await store.set('first', 'value', minute)
    await pool.query(
      `INSERT INTO emcy_gateway SELECT 'live:' || i, 'v', 0, (extract(epoch from now()) * 1000)::bigint + 3600000 FROM generate_series(1, 30000) i`,
    )
    await pool.query(`INSERT INTO emcy_gateway SELECT 'dead:' || i, 'v', 0, i FROM generate_series(1, 250) i`)
    const counts = async () => {
      const { rows } = await pool.query(
        "SELECT seq_tup_read::int AS scanned, n_tup_del::int AS removed FROM pg_stat_user_tables WHERE relname = 'emcy_gateway'",
      )
      return rows[0] as { scanned: number; removed: number }
    }
    await until(async () => {
      await store.set('again', 'value', minute)
      return (await counts()).removed >= 250
    })
    // Rows read by scans: before there were any rows, the table was scanned for its index.
    expect((await counts()).scanned).toBeLessThan(30_000)
    const { rows } = await pool.query("SELECT count(*)::int AS count FROM emcy_gateway WHERE k LIKE 'live:%'")
    expect(rows).toEqual([{ count: 30_000 }])
    await store.close()
    await pool.end()
  }, 60_000)

  it('needs no right to create where the table is there', async () => {
    const pool = await emptyDatabase('granted')
    const first = openStore(addressOf('granted'), 2_000)
    await first.set('key', 'value', minute)
    await first.close()
    await pool.query('CREATE ROLE service LOGIN')
    await pool.query('GRANT SELECT, INSERT, UPDATE, DELETE ON emcy_gateway TO service')
    const store = openStore(addressOf('granted', 'service'), 2_000)
    expect(await store.get('key')).toBe('value')
    const service = new Pool({ connectionString: addressOf('granted', 'service') })
    await expect(service.query('CREATE TABLE other (a int)')).rejects.toMatchObject({ code: '42501' })
    await service.end()
    await store.close()
    await pool.end()
  })

  it('comes back when its table was lost', async () => {
    const pool = await emptyDatabase('restored')
    const store = openStore(pool, 2_000)
    await store.set('key', 'value', minute)
    await pool.query('DROP TABLE emcy_gateway')
    await expect(store.get('key')).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(await store.get('key')).toBeUndefined()
    await store.close()
    await pool.end()
  })

  it("has the adapter's schema for its table, and its own keys under each namespace", async () => {
    const pool = await emptyDatabase('shared')
    const adapter = (namespace?: string) => new KeyvPostgres({ uri: addressOf('shared'), schema: 'auth', ...(namespace && { namespace }) } as never) as never
    const stores = [
      keyvStore(new Keyv({ store: adapter(), namespace: 'one' })),
      keyvStore(new Keyv({ store: adapter(), namespace: 'two' })),
      keyvStore(new Keyv({ store: adapter() })),
      keyvStore(new Keyv5({ store: adapter() })),
    ] as const
    await stores[0].set('key', 'of one', minute)
    await stores[1].set('key', 'of two', minute)
    await stores[2].set('key', 'of none', minute)
    expect(await Promise.all(stores.map((store) => store.get('key')))).toEqual(['of one', 'of two', 'of none', 'of none'])
    const { rows } = await pool.query('SELECT k FROM auth.emcy_gateway ORDER BY k')
    expect(rows).toEqual([{ k: 'emcy:key' }, { k: 'one:emcy:key' }, { k: 'two:emcy:key' }])
    await Promise.all(stores.map((store) => store.close()))
    await pool.end()
  })

  it('is not sent a key that it would cut or refuse', async () => {
    const store = keyvStore(new Keyv({ store: new KeyvPostgres(addressOf('postgres')) as never }))
    await expect(store.set('k'.repeat(251), 'value', minute)).rejects.toThrow(RangeError)
    await store.set('k'.repeat(250), 'value', minute)
    expect(await store.get('k'.repeat(250))).toBe('value')
    await store.close()
    expect(() => keyvStore(new Keyv({ store: new KeyvRedis() as never, namespace: 'n'.repeat(51) }))).toThrow(ConfigError)
    const other = keyvStore(new Keyv({ store: new KeyvPostgres(addressOf('postgres')) as never, namespace: 'n'.repeat(50) }))
    await other.set(recordKey('document', ...Array.from({ length: 3 }, () => 'i'.repeat(60))), 'value', minute)
    await other.close()
  })

  it('leaves a pool of the team open', async () => {
    const pool = new Pool({ connectionString: addressOf('postgres') })
    const store = openStore(pool, 2_000)
    await store.set('key', 'value', minute)
    await store.close()
    await expect(store.get('key')).rejects.toMatchObject({ code: 'store_unavailable' })
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await pool.end()
  })

  it('may end an idle connection: that ends a process with a bare Keyv, and not one with our store over the same', async () => {
    const outcomes = await Promise.all(
      ['bare', 'store'].map(async (how) => {
        const child = fork(new URL('./idle-connection.ts', import.meta.url), [how, String(server.port)], { execArgv: [], silent: true })
        await once(child, 'message')
        return child
      }),
    )
    const [bare, ours] = outcomes
    const bareEnded = once(bare as (typeof outcomes)[number], 'exit')
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
    expect((await bareEnded)[0]).not.toBe(0)
    const answered = once(ours as (typeof outcomes)[number], 'message')
    ours?.send('read')
    expect((await answered)[0]).toBe('value')
    ours?.kill()
  }, 30_000)
})
