// What a million connections cost against a thousand, in Redis and in PostgreSQL: latency of a check and of a whole tools/call, memory a connection, time of a key rotation.
// Both sizes stand on servers of their own at the same time and take turns in short slices, so that a busy moment of the machine hits both alike. Not part of npm test.
// BENCH_CONNECTIONS and BENCH_SECONDS make it shorter; --write puts the figures into docs/reference/measurements.md.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { checkAccessToken } from '../packages/gateway/src/connections/access-token.ts'
import { endConnection, listConnections, openConnection } from '../packages/gateway/src/connections/connections.ts'
import { ownGrantKey } from '../packages/gateway/src/grants/grant-key.ts'
import { readGrant } from '../packages/gateway/src/grants/grants.ts'
import { createKeyRing } from '../packages/gateway/src/keys/key-ring.ts'
import { rotateKeys } from '../packages/gateway/src/rotation/rotate-keys.ts'
import { openStore } from '../packages/gateway/src/store/open-store.ts'
import { output } from '../packages/gateway/test/servers/program.ts'
import { startRedis } from '../packages/gateway/test/servers/redis.ts'
import { startPostgres } from '../packages/gateway/test/servers/sql.ts'
import { freePorts } from '../test/harness/ports.ts'
import { connectionMaker, issuer } from './bench/connections-made.mjs'
import { writeMeasurements } from './bench/measurements-page.mjs'
import { start, started, stopParts } from './bench/parts.mjs'

const many = Number(process.env.BENCH_CONNECTIONS ?? 1_000_000)
const seconds = Number(process.env.BENCH_SECONDS ?? 60)
const sizes = [1_000, many]
const inFlight = 4
const sliceMs = 500
const batch = 2_000
const [oldSecret, newSecret] = [randomBytes(32).toString('base64url'), randomBytes(32).toString('base64url')]
const servers = []

const backends = {
  Redis: {
    async start() {
      const server = await startRedis()
      // As Redis is run in most places: its log reaches the disk once a second.
      await output('redis-cli', ['-p', String(server.port), 'CONFIG', 'SET', 'appendfsync', 'everysec'])
      return server
    },
    url: (port) => `redis://127.0.0.1:${port}`,
    async loader(store) {
      return async (records) => {
        for (let from = 0; from < records.length; from += 500) {
          await Promise.all(records.slice(from, from + 500).map(([key, value, ttlMs]) => store.set(key, value, Math.floor(ttlMs))))
        }
      }
    },
    settle: async () => {},
    async bytes(port) {
      return Number(/^used_memory:(\d+)/m.exec(await output('redis-cli', ['-p', String(port), 'INFO', 'memory']))?.[1])
    },
  },
  PostgreSQL: {
    start: startPostgres,
    url: (port) => `postgres://app@127.0.0.1:${port}/postgres`,
    async loader(store, url) {
      // The store creates its table at the first operation.
      await store.get('nothing')
      const pool = new pg.Pool({ connectionString: url, max: 2 })
      const sql = `INSERT INTO emcy_gateway (k, v, n, exp)
        SELECT 'emcy:' || k, v, 0, (extract(epoch from now()) * 1000)::bigint + ttl FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS rows (k, v, ttl)`
      return Object.assign(
        async (records) => {
          const columns = [records.map(([key]) => key), records.map(([, value]) => Buffer.from(value)), records.map(([, , ttlMs]) => Math.floor(ttlMs))]
          await pool.query(sql, columns)
        },
        { end: () => pool.end() },
      )
    },
    async settle(url) {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      await client.query('VACUUM ANALYZE emcy_gateway')
      await client.query('CHECKPOINT')
      await client.end()
    },
    async bytes(_port, url) {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      const { rows } = await client.query("SELECT pg_total_relation_size('emcy_gateway') AS bytes")
      await client.end()
      return Number(rows[0].bytes)
    },
  },
}

const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]
}
const timed = async (work) => {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/** Servers and an edge for one size of one backend. */
async function deployment(name, size, publicUrl) {
  const backend = backends[name]
  const server = await backend.start()
  servers.push(server)
  const url = backend.url(server.port)
  const store = openStore(url, 10_000)
  await store.get('nothing')
  const empty = name === 'Redis' ? await backend.bytes(server.port, url) : 0
  return { name, size, publicUrl, url, store, empty, port: server.port, backend, load: await backend.loader(store, url) }
}

/** Fills the deployments of one size, which hold the same records. */
async function fill(size, publicUrl, deployments) {
  const maker = connectionMaker(`${publicUrl}/mcp`, oldSecret)
  const tokens = []
  let shown = performance.now()
  for (let made = 0; made < size; made += batch) {
    const { tokens: some, records } = await maker.make(Math.min(batch, size - made), size > 10_000 ? 1 / 20 : 1)
    tokens.push(...some)
    await Promise.all(deployments.map(({ load }) => load(records)))
    if (performance.now() - shown > 10_000) {
      shown = performance.now()
      console.log(`  ${(made + batch).toLocaleString('en')} connections made`)
    }
  }
  await Promise.all(deployments.map(({ load }) => load(maker.index())))
  for (const { load, backend, url } of deployments) {
    await load.end?.()
    await backend.settle(url)
  }
  return { tokens, deps: maker.deps }
}

/** Does something while the gateways of both sizes run: those of the two backends have the same ports. */
async function withEdges(pair, work) {
  const before = started()
  for (const each of pair) {
    const env = { PUBLIC_URL: each.publicUrl, STORE: each.url, ISSUER: issuer, SECRETS: `${newSecret},${oldSecret}` }
    each.edge = await start('scripts/bench/million-edge.mjs', env)
  }
  await work()
  await stopParts(before)
}

/** The check as the front door does it: connection and grant in one round trip. One after the other, so that nothing but the store counts. */
async function checks(deployment, tokens, milliseconds) {
  const deps = { ...deployment.deps, store: deployment.store }
  const took = []
  const end = performance.now() + milliseconds
  while (performance.now() < end) {
    const token = tokens[Math.floor(Math.random() * tokens.length)]
    let grant
    took.push(
      await timed(async () => {
        await checkAccessToken(deps, token, 'todo', (id) => {
          grant = readGrant(deps, ownGrantKey('default', id))
        })
        await grant
      }),
    )
  }
  return took
}

async function measure(name, pair, load) {
  const found = { name, check: {}, call: {}, bytes: {}, open: {}, page: {} }
  for (const each of pair) {
    each.took = { check: [], call: [] }
    found.bytes[each.size] = ((await each.backend.bytes(each.port, each.url)) - each.empty) / each.size
  }
  const until = performance.now() + seconds * 1000
  for (let round = -2; round < 1 || performance.now() < until; round++) {
    for (const each of pair) {
      const took = await checks(each, each.tokens, sliceMs)
      const result = await load.ask({ url: each.edge.url, tokensFile: each.tokensFile, concurrency: inFlight, milliseconds: sliceMs })
      if (result.error) throw new Error(result.error)
      // The first rounds warm up.
      if (round < 0) continue
      each.took.check.push(...took)
      each.took.call.push(...result.latencies)
    }
  }
  for (const { size, took, store, deps } of pair) {
    for (const what of ['check', 'call']) found[what][size] = { p50: quantile(took[what], 0.5), p99: quantile(took[what], 0.99), count: took[what].length }
    const here = { ...deps, store }
    const wanted = {
      ...{ identity: { issuer, sub: 'someone else', claims: {} }, client: { clientId: 'c', name: 'C', trust: 'dynamic' }, scopes: ['todos.read'] },
      ...{
        server: { id: 'todo', resource: 'r' },
        grantKey: undefined,
        provider: undefined,
        code: { challenge: 'x'.repeat(43), redirectUri: 'http://127.0.0.1/' },
      },
    }
    const opened = []
    for (let count = 0; count < 200; count++) {
      opened.push(
        await timed(async () => {
          const { connectionId } = await openConnection(here, wanted)
          await endConnection(here, connectionId)
        }),
      )
    }
    found.open[size] = quantile(opened, 0.5)
    const pages = []
    for (let count = 0; count < 10; count++) pages.push(await timed(() => listConnections(here, { limit: 100 })))
    found.page[size] = quantile(pages, 0.5)
  }
  return found
}

/** A full rotation of the larger one, under light traffic, and one more that finds nothing to do. */
async function rotation(name, pair, load) {
  const big = pair.at(-1)
  const keys = createKeyRing([newSecret, oldSecret])
  let done = false
  const during = []
  const traffic = (async () => {
    while (!done) {
      const result = await load.ask({ url: big.edge.url, tokensFile: big.tokensFile, concurrency: 1, milliseconds: 50 })
      if (result.error) throw new Error(result.error)
      during.push(...result.latencies)
      await pause(sliceMs)
    }
  })()
  // Awaited below; until then its failure must not end the process.
  traffic.catch(() => {})
  let shown = performance.now()
  const onProgress = (progress) => {
    if (performance.now() - shown < 10_000) return
    shown = performance.now()
    console.log(`  ${name}: rotation ${Math.floor(progress.done * 100)} %`)
  }
  let rotated
  const took = await timed(async () => {
    rotated = await rotateKeys({ ...big.deps, keys, store: big.store }, { onProgress })
  })
  done = true
  await traffic
  if (rotated.unreadable > 0) throw new Error(`${rotated.unreadable} values were unreadable`)
  const again = await timed(() => rotateKeys({ ...big.deps, keys, store: big.store }))
  return { seconds: took / 1000, resealed: rotated.resealed, p99: quantile(during, 0.99), calls: during.length, again: again / 1000 }
}

const folder = await mkdtemp(join(tmpdir(), 'emcy-million-'))
try {
  const ports = await freePorts(sizes.length * 2)
  const names = Object.keys(backends)
  const all = new Map(names.map((name) => [name, []]))
  for (const [index, size] of sizes.entries()) {
    // Both backends hold the same records, so their edges have one public URL and one port, one after the other.
    const publicUrl = `http://127.0.0.1:${ports[index]}`
    const deployments = await Promise.all(names.map((name) => deployment(name, size, publicUrl)))
    console.log(`${size.toLocaleString('en')} connections into ${names.join(' and ')}`)
    const { tokens, deps } = await fill(size, publicUrl, deployments)
    const tokensFile = join(folder, `tokens-${size}`)
    await writeFile(tokensFile, tokens.join('\n'))
    for (const each of deployments) all.get(each.name).push(Object.assign(each, { tokens, tokensFile, deps }))
  }
  const load = await start('scripts/bench/load.mjs')
  const about = { sizes, inFlight, cores: cpus().length, model: cpus()[0]?.model ?? 'unknown', node: process.versions.node }
  const results = []
  // At once after each step: a rotation takes its time.
  const show = () => writeMeasurements(results, about, process.argv.includes('--write'))
  for (const [name, pair] of all) {
    await withEdges(pair, async () => results.push(await measure(name, pair, load)))
    await show()
  }
  for (const [name, pair] of all) {
    await withEdges(pair, async () => {
      results.find((result) => result.name === name).rotation = await rotation(name, pair, load)
    })
    await show()
    for (const { store } of pair) await store.close()
  }
} finally {
  await stopParts()
  for (const server of servers) await server.remove()
  await rm(folder, { recursive: true, force: true })
}
