import { main } from '../../src/cli/main.ts'

/* The command line from its sources, in a process of its own. */
await main(process.argv.slice(2))
