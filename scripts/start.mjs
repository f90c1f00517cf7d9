// What `npm start` runs: builds the library, which takes a second or two when nothing changed, then the Todo demo with the arguments given.
import { join } from 'node:path'
import { root, run } from './run.mjs'

const built = await run(process.execPath, [join(root, 'scripts/build.mjs')])
if (built !== 0) process.exit(built)
const { main } = await import('../examples/todo/main.ts')
process.exit(await main(process.argv.slice(2)))
