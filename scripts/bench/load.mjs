// The load generator: for one slice it keeps a number of calls in flight at one URL, and says how long each took.
import { readFile } from 'node:fs/promises'
import { Pool } from 'undici'

const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: { filter: 'open' } } })
const pools = new Map()
const tokenLists = new Map()

/** The tokens in a file, one a line. */
async function tokensIn(file) {
  const known = tokenLists.get(file) ?? (await readFile(file, 'utf8')).split('\n')
  tokenLists.set(file, known)
  return known
}

/** With `tokensFile` each call has a token of its own from there, by chance. */
async function slice({ url, token, tokensFile, concurrency, milliseconds }) {
  const tokens = tokensFile === undefined ? [token] : await tokensIn(tokensFile)
  const { origin, pathname } = new URL(url)
  const pool = pools.get(origin) ?? pools.set(origin, new Pool(origin, { connections: concurrency, pipelining: 1 })).get(origin)
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2025-11-25',
  }
  const authorized = () => {
    const one = tokens[Math.floor(Math.random() * tokens.length)]
    return one === undefined ? headers : { ...headers, authorization: `Bearer ${one}` }
  }
  const latencies = []
  const end = performance.now() + milliseconds
  const started = performance.now()
  const worker = async () => {
    while (performance.now() < end) {
      const before = performance.now()
      const response = await pool.request({ path: pathname, method: 'POST', headers: authorized(), body })
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
