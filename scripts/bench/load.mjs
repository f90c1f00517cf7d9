// The load generator: for one slice it keeps a number of calls in flight at one URL, and says how long each took.
import { Pool } from 'undici'

const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: { filter: 'open' } } })
const pools = new Map()

async function slice({ url, token, concurrency, milliseconds }) {
  const { origin, pathname } = new URL(url)
  const pool = pools.get(origin) ?? pools.set(origin, new Pool(origin, { connections: concurrency, pipelining: 1 })).get(origin)
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2025-11-25',
    ...(token && { authorization: `Bearer ${token}` }),
  }
  const latencies = []
  const end = performance.now() + milliseconds
  const started = performance.now()
  const worker = async () => {
    while (performance.now() < end) {
      const before = performance.now()
      const response = await pool.request({ path: pathname, method: 'POST', headers, body })
      const text = await response.body.text()
      if (response.statusCode !== 200 || !text.includes('buy milk')) throw new Error(`${url}: ${response.statusCode} ${text.slice(0, 500)}`)
      latencies.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return { latencies, milliseconds: performance.now() - started }
}

process.on('message', (order) =>
  slice(order).then(
    (result) => process.send(result),
    (error) => process.send({ error: error.message }),
  ),
)
process.once('disconnect', () => process.exit(0))
process.send({ url: 'load' })
