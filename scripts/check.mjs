// Everything that is checked without running the product: format and lint, layers and cycles, types of tests and examples, docs against the code.
// Needs the build: tests and examples see the library as users do, through its dist.
import { join } from 'node:path'
import { root, run, step } from './run.mjs'

const bin = (name) => join(root, 'node_modules/.bin', name)
const script = (name, ...args) => run(process.execPath, [join(root, 'scripts', name), ...args])

const checks = {
  'format and lint': () => run(bin('biome'), ['check', '--error-on-warnings', '.']),
  'layers and cycles': () => script('check-layers.mjs'),
  'types of tests and examples': () => run(bin('tsc'), ['-p', 'tsconfig.json']),
  'docs against code': () => script('check-docs.mjs'),
  'compliance page': () => script('compliance-page.mjs', '--check'),
  'records page against schema': () => run(process.execPath, [join(root, 'scripts/records-page.mjs'), '--check']),
}

/** Runs every check, also after one has failed; the names of those that failed. */
export async function check() {
  const failed = []
  for (const [name, action] of Object.entries(checks)) if (!(await step(name, async () => (await action()) === 0))) failed.push(name)
  return { count: Object.keys(checks).length, failed }
}

if (process.argv[1] === import.meta.filename) {
  const { failed } = await check()
  process.exitCode = failed.length === 0 ? 0 : 1
}
