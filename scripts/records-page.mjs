// Writes the table of docs/reference/records.md from store/schema.ts; what stands around the table is written by hand. With --check only says whether it is up to date.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from './run.mjs'

const page = join(root, 'docs/reference/records.md')
const [begin, end] = ['<!-- from store/schema.ts, by scripts/records-page.mjs -->', '<!-- end -->']

/** The table, a row a kind of record. */
async function table() {
  const { schema } = await import(join(root, 'packages/gateway/src/store/schema.ts'))
  const rows = Object.values(schema).map(({ prefix, key, about, life, version }) => `| \`${prefix}:${key}\` | ${about} | ${life} | ${version} |`)
  return ['| key | what | life | version |', '|---|---|---|---|', ...rows].join('\n')
}

/** The page as it should be, and as it is. */
export async function recordsPage() {
  const is = await readFile(page, 'utf8')
  const [from, to] = [is.indexOf(begin), is.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`docs/reference/records.md needs a line ${begin} and after it a line ${end}`)
  return { is, should: `${is.slice(0, from)}${begin}\n\n${await table()}\n\n${is.slice(to)}` }
}

if (process.argv[1] === import.meta.filename) {
  const { is, should } = await recordsPage()
  if (!process.argv.includes('--check')) await writeFile(page, should)
  else if (is === should) console.log('records: docs/reference/records.md is what store/schema.ts says')
  else {
    console.error('docs/reference/records.md is not what store/schema.ts says: run node scripts/records-page.mjs')
    process.exitCode = 1
  }
}
