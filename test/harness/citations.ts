import { readdir, readFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/* The title of a test or of a group of tests, in any of its spellings; `])(` stands after the table of an `each`. */
const title = /(?:\b(?:it|test|describe)(?:\.\w+)*(?:\([^'"`]*\))?|\]\))\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`([^`]*)`)/g
const id = /\b(?:PR|AS|CR|AZ|TK|BC|TR|JR|EL|TS|EX)-\d+\b/g

async function testFiles(folder: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true })
  return names.filter((name) => name.endsWith('.test.ts')).map((name) => join(folder, name))
}

/** Requirement ids in the titles of tests and of their groups, with the files that cite them, sorted. */
export async function citations(): Promise<Map<string, string[]>> {
  const cited = new Map<string, Set<string>>()
  for (const file of [...(await testFiles('packages/gateway/test')), ...(await testFiles('test'))].sort()) {
    if (file === join('test', 'requirements.test.ts')) continue
    for (const match of (await readFile(join(root, file), 'utf8')).matchAll(title)) {
      for (const [found] of (match[1] ?? match[2] ?? match[3] ?? '').matchAll(id)) {
        cited.set(found, (cited.get(found) ?? new Set()).add(file.split(sep).join('/')))
      }
    }
  }
  return new Map([...cited].map(([found, files]) => [found, [...files]]))
}
