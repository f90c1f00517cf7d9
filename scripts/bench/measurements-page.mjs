// The figures of bench-million.mjs as a table, on the screen and in docs/reference/measurements.md.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from '../run.mjs'

const ms = (value) => `${value.toFixed(2)} ms`
const number = (value) => Math.round(value).toLocaleString('en')

/** Rows of one backend: what, with the few, with the many, how they compare. */
function rowsOf({ check, call, bytes, open, page, rotation }, [few, many]) {
  const pair = (what, of, show) => [what, show(of(few)), show(of(many)), `${((of(many) / of(few)) * 100 - 100).toFixed(0)} %`]
  return [
    pair('check of a token with its grant, p50', (size) => check[size].p50, ms),
    pair('the same, p99', (size) => check[size].p99, ms),
    pair('whole `tools/call`, p50', (size) => call[size].p50, ms),
    pair('the same, p99', (size) => call[size].p99, ms),
    pair('open and end a connection, both indexes, p50', (size) => open[size], ms),
    pair('first page of 100 connections, p50', (size) => page[size], ms),
    ['bytes a connection, all its records and indexes', number(bytes[few]), number(bytes[many]), ''],
    ...(rotation ? rotationRows(rotation) : []),
  ]
}

function rotationRows({ seconds, resealed, p99, calls, again }) {
  return [
    ['full key rotation, with light traffic', '', `${number(seconds)} s, ${number(resealed)} values sealed anew`, ''],
    ['`tools/call` during the rotation, p99', '', `${ms(p99)}, none of ${number(calls)} failed`, ''],
    ['a second rotation, which finds nothing to do', '', `${number(again)} s`, ''],
  ]
}

/** Prints the figures; writes the page too where asked. */
export async function writeMeasurements(results, { sizes, inFlight, cores, model, node }, write) {
  const [few, many] = sizes.map((size) => size.toLocaleString('en'))
  const tables = results.map((result) => {
    const rows = rowsOf(result, sizes).map((row) => `| ${row.join(' | ')} |`)
    return [`## ${result.name}`, '', `| | ${few} connections | ${many} | more |`, '|---|---|---|---|', ...rows].join('\n')
  })
  const date = new Date().toISOString().slice(0, 10)
  const page = `# Measurements

By \`node scripts/bench-million.mjs --write\` on ${date}: ${cores} cores (${model}), Node ${node}, everything on this one machine: two servers of each backend (one with ${few}
connections, one with ${many}), one gateway process before each, and the load, in turns of half a second, so that a busy moment hits both alike.

- *check*: what stands between a request and its runtime in the store: connection and grant, in one round trip, one check at a time.
- *\`tools/call\`*: through HTTP and the whole gateway to a runtime in the gateway's process, ${inFlight} in flight, each with the token of another connection.
- A connection here has been refreshed once, and has a grant of its own; its user has two. Redis brings its log to the disk once a second; PostgreSQL has \`fsync\` on and default settings.

${tables.join('\n\n')}
`
  console.log(`\n${tables.join('\n\n')}`)
  if (write) await writeFile(join(root, 'docs/reference/measurements.md'), page)
}
