// Holds docs/errors.md against the error catalogue: a heading for each code, and no heading for a code that does not exist.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from './run.mjs'

/** All complaints about docs/errors.md. */
export async function checkDocs() {
  const { catalogue } = await import(join(root, 'packages/gateway/src/errors/errors.ts'))
  const page = await readFile(join(root, 'docs/errors.md'), 'utf8').catch(() => '')
  const headings = new Set([...page.matchAll(/^#{2,4} `?([a-z]+(?:_[a-z]+)*)`?\s*$/gm)].map((match) => match[1]))
  const codes = Object.keys(catalogue)
  const missing = codes.filter((code) => !headings.has(code)).map((code) => `docs/errors.md has no heading for ${code}`)
  const unknown = [...headings]
    .filter((code) => code.includes('_') && !codes.includes(code))
    .map((code) => `docs/errors.md describes ${code}, which is no code`)
  return [...missing, ...unknown]
}

if (process.argv[1] === import.meta.filename) {
  const complaints = await checkDocs()
  for (const line of complaints) console.error(line)
  console.log(`docs: ${complaints.length} complaints`)
  process.exitCode = complaints.length === 0 ? 0 : 1
}
