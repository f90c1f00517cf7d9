import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder of its own for one test file, and how to remove it. */
export function scratchFolder(): { path: (name: string) => string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'emcy-store-'))
  return { path: (name) => join(folder, name), remove: () => rmSync(folder, { recursive: true }) }
}
