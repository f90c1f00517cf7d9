// Compares, in one interleaved run, a runtime called directly, bare express + http-proxy-middleware, and the full edge on two stores. Every part is a process
// of its own; slices are short and go round, so that a busy moment of the machine hits all variants alike. BENCH_SECONDS and BENCH_CONCURRENCY change the run.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '../test/harness/ports.ts'
import { ScriptedClient } from '../test/harness/scripted-client.ts'
import { start, stopParts } from './bench/parts.mjs'

const seconds = Number(process.env.BENCH_SECONDS ?? 60)
const concurrency = Number(process.env.BENCH_CONCURRENCY ?? 16)
const sliceMs = 500

const dataDir = await mkdtemp(join(tmpdir(), 'emcy-bench-'))
try {
  const secret = randomBytes(32).toString('base64url')
  const [memoryPort, sqlitePort, apiPort] = await freePorts(3)
  const at = (port) => `http://127.0.0.1:${port}`
  const runtime = await start('scripts/bench/runtime.mjs')
  const proxy = await start('scripts/bench/proxy.mjs', { RUNTIME_URL: runtime.url })

  const edge = async (port, store) => {
    const issuer = at(port)
    const provider = await start('examples/todo/authorization-server.ts', {
      PORT: '0',
      DATA_DIR: join(dataDir, `as-${port}`),
      API_URL: at(apiPort),
      GATEWAY_URL: issuer,
      GATEWAY_CLIENT_ID: 'emcy-gateway',
      GATEWAY_CLIENT_SECRET: secret,
    })
    const env = {
      PUBLIC_URL: issuer,
      RUNTIME_URL: runtime.url,
      STORE: store,
      ISSUER: provider.url,
      CLIENT_SECRET: secret,
      API_URL: at(apiPort),
      SECRET: secret,
    }
    const measured = await start('scripts/bench/edge.mjs', env)
    const { access_token: token } = await new ScriptedClient(issuer, `${issuer}/mcp`).signIn('ann')
    return { ...measured, token }
  }
  const variants = [
    { name: 'direct', ...runtime },
    { name: 'express + http-proxy-middleware', ...proxy },
    { name: 'full edge, memory store', ...(await edge(memoryPort, 'memory:')) },
    { name: 'full edge, SQLite store', ...(await edge(sqlitePort, `sqlite:${join(dataDir, 'gateway.db')}`)) },
  ].map((variant) => ({ ...variant, latencies: [], ms: 0, cpuMs: 0 }))
  const load = await start('scripts/bench/load.mjs')

  const turn = async (variant, keep) => {
    const before = await variant.ask({})
    const result = await load.ask({ url: variant.url, token: variant.token, concurrency, milliseconds: sliceMs })
    if (result.error) throw new Error(result.error)
    const after = await variant.ask({})
    if (!keep) return
    variant.latencies.push(...result.latencies)
    variant.ms += result.milliseconds
    variant.cpuMs += after.cpuMs - before.cpuMs
  }
  for (let round = 0; round < 3; round++) for (const variant of variants) await turn(variant, false)
  const until = Date.now() + seconds * 1000
  while (Date.now() < until) for (const variant of variants) await turn(variant, true)

  console.log(`tools/call, ${concurrency} in flight, ${seconds} s in all, ${cpus().length} cores, Node ${process.versions.node}\n`)
  const columns = ['requests/s', 'p50 ms', 'p99 ms', 'CPU ms / 1,000']
  console.log([''.padEnd(34), ...columns.map((column) => column.padStart(15))].join(''))
  for (const { name, latencies, ms, cpuMs } of variants) {
    latencies.sort((a, b) => a - b)
    const quantile = (q) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * q))].toFixed(2)
    const values = [
      Math.round((latencies.length / ms) * 1000).toLocaleString('en'),
      quantile(0.5),
      quantile(0.99),
      ((cpuMs / latencies.length) * 1000).toFixed(1),
    ]
    console.log([name.padEnd(34), ...values.map((value) => value.padStart(15))].join(''))
  }
  console.log('\nCPU: of the measured process alone (for direct: of the runtime).')
} finally {
  await stopParts()
  await rm(dataDir, { recursive: true, force: true })
}
