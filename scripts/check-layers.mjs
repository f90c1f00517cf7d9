// Holds the layers of packages/gateway/src: imports go down only, folders of one layer never import each other, no cycles between files.
// Type-only imports count: a type that two siblings need is a thing that belongs below both.
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { root } from './run.mjs'

const source = join(root, 'packages/gateway/src')

/** Folder or root file → layer, as in the architecture. */
const layers = {
  index: 6,
  testing: 6,
  worker: 6,
  'cli/': 6,
  'testing/': 5.5,
  gateway: 5,
  'options/': 5,
  'discovery/': 4,
  'authorization/': 4,
  'account/': 4,
  'mcp/': 4,
  // Ending a connection with its grant joins two folders of layer 3, and is used by two of layer 4.
  'ending/': 3.5,
  // As does sealing both anew.
  'rotation/': 3.5,
  'visitor/': 3,
  'clients/': 3,
  'connections/': 3,
  'dpop/': 3,
  'grants/': 3,
  'policy/': 3,
  'budget/': 3,
  'runtime/': 3,
  deps: 2,
  config: 2,
  rules: 2,
  'http/': 1,
  'store/': 1,
  'keys/': 1,
  'log/': 1,
  'pages/': 1,
  'errors/': 0,
  'lib/': 0,
}

/** Files of the root that may use a sibling of their own layer: the composition root knows the options, and what domain code asks for names the configuration. */
const withinLayer = { gateway: ['options/'], deps: ['config'], config: ['rules'] }

/** The part of the layer table that a file belongs to. */
function partOf(file) {
  const path = relative(source, file)
  const slash = path.indexOf('/')
  return slash === -1 ? path.replace(/\.ts$/, '') : path.slice(0, slash + 1)
}

/** Relative imports of a file, type-only ones included. */
function importsOf(text, file) {
  const found = text.matchAll(/(?:^|[;\s}])(?:import|export)\s+(?:[^'";]*?\sfrom\s+)?['"](\.[^'"]+)['"]|import\(\s*['"](\.[^'"]+)['"]\s*\)/gm)
  return [...found].map((match) => resolve(dirname(file), match[1] ?? match[2]))
}

/** Why an import is not allowed, or undefined. */
function complaint(from, to) {
  const [user, used] = [partOf(from), partOf(to)]
  for (const part of [user, used]) if (layers[part] === undefined) return `${part} is in no layer: add it to scripts/check-layers.mjs and to the architecture`
  if (user === used || layers[used] < layers[user]) return undefined
  if (layers[used] > layers[user]) return `goes up: ${user} (layer ${layers[user]}) imports ${used} (layer ${layers[used]})`
  return withinLayer[user]?.includes(used) ? undefined : `siblings: ${user} and ${used} are both in layer ${layers[user]}`
}

/** Every cycle that a depth-first walk meets, as a list of files. */
function cyclesOf(graph) {
  const state = new Map()
  const cycles = []
  const path = []
  const visit = (file) => {
    if (state.get(file) === 'done') return
    if (state.get(file) === 'open') {
      cycles.push([...path.slice(path.indexOf(file)), file])
      return
    }
    state.set(file, 'open')
    path.push(file)
    for (const next of graph.get(file) ?? []) visit(next)
    path.pop()
    state.set(file, 'done')
  }
  for (const file of graph.keys()) visit(file)
  return cycles
}

/** All complaints about the library's imports. */
export async function checkLayers() {
  const files = (await readdir(source, { recursive: true })).filter((file) => file.endsWith('.ts')).map((file) => join(source, file))
  const graph = new Map()
  for (const file of files) graph.set(file, importsOf(await readFile(file, 'utf8'), file))
  const complaints = []
  for (const [file, imports] of graph) {
    for (const imported of imports) {
      const why = graph.has(imported) ? complaint(file, imported) : 'does not exist in src'
      if (why !== undefined) complaints.push(`${relative(root, file)} → ${relative(root, imported)}: ${why}`)
    }
  }
  for (const cycle of cyclesOf(graph)) complaints.push(`cycle: ${cycle.map((file) => relative(source, file)).join(' → ')}`)
  if (graph.size === 0) complaints.push(`no source files under ${relative(root, source)}`)
  return { files: graph.size, complaints }
}

if (process.argv[1] === import.meta.filename) {
  const { files, complaints } = await checkLayers()
  for (const line of complaints) console.error(line)
  console.log(`layers: ${files} files, ${complaints.length} complaints`)
  process.exitCode = complaints.length === 0 ? 0 : 1
}
