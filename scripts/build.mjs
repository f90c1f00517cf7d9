// Compiles the packages into their dist folders. `node_modules/.bin/emcy-gateway` is linked by the install and loads what this leaves.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { root, run } from './run.mjs'

const packages = ['packages/gateway']

// A file that was deleted or renamed in src must not live on in dist: the tarball takes dist as it is.
if (process.argv.includes('--clean')) for (const path of packages) await rm(join(root, path, 'dist'), { recursive: true, force: true })
process.exitCode = await run(join(root, 'node_modules/.bin/tsc'), ['-b', ...packages])
