import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from '@jest/globals'

/*
 * Requirements are data: tests cite ids of the requirement table in their names, and this file fails when a touched one is cited by none. An id leaves the
 * list only together with the behaviour.
 */

/** How many ids each group of the requirement table has. */
const groups: Record<string, number> = { PR: 14, AS: 11, CR: 22, AZ: 17, TK: 17, BC: 16, TR: 47, JR: 23, EL: 12, TS: 5, EX: 16 }

/** Ids that the gateway holds today: duties of its own, not of clients (CL) or of runtimes. */
const held = {
  PR: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14],
  AS: [1, 2, 4, 5, 6, 7, 8, 9, 10, 11],
  CR: [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21, 22],
  AZ: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
  TK: [1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17],
  BC: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15],
  TR: [1, 5, 6, 7, 8, 10, 12, 14, 15, 23, 24, 27, 31, 32, 43],
  JR: [3, 4, 8, 9, 11, 14, 15],
  EX: [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14],
}

const root = fileURLToPath(new URL('..', import.meta.url))

async function testFiles(folder: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true })
  return names.filter((name) => name.endsWith('.test.ts') && !name.includes('node_modules')).map((name) => join(root, folder, name))
}

/** Ids in the names of tests and of their groups, with the files that cite them. */
async function citations(): Promise<Map<string, Set<string>>> {
  const cited = new Map<string, Set<string>>()
  for (const file of [...(await testFiles('test')), ...(await testFiles('packages'))]) {
    if (file === fileURLToPath(import.meta.url)) continue
    const text = await readFile(file, 'utf8')
    const names = text.matchAll(/\b(?:it|test|describe)(?:\.\w+)*(?:\([^'"`]*\))?\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`([^`]*)`)/g)
    for (const match of names) {
      for (const [id] of (match[1] ?? match[2] ?? match[3] ?? '').matchAll(/\b(?:PR|AS|CR|AZ|TK|BC|TR|JR|EL|TS|EX)-\d+\b/g)) {
        cited.set(id, (cited.get(id) ?? new Set()).add(file.slice(root.length)))
      }
    }
  }
  return cited
}

describe('the requirement table', () => {
  it('is cited for every requirement that the gateway holds', async () => {
    const cited = await citations()
    const wanted = Object.entries(held).flatMap(([group, numbers]) => numbers.map((number) => `${group}-${number}`))
    expect(wanted.filter((id) => !cited.has(id))).toEqual([])
  })

  it('knows every id that a test cites', async () => {
    const unknown = [...(await citations())].filter(([id]) => Number(id.split('-')[1]) > (groups[id.split('-')[0] ?? ''] ?? 0) || id.endsWith('-0'))
    expect(unknown).toEqual([])
  })
})
