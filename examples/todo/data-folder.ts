import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Makes sure that a folder for secrets and databases exists, readable by its owner alone. */
export function openDataFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return path
}

/**
 * Content of a file in the data folder; made once, at the first start, with mode 0600. Of several processes that make it at once, one wins and all read
 * the winner's: `link` fails when the name is taken, and never shows a file half written.
 */
export function readOrCreate(dataDir: string, name: string, create: () => string): string {
  const path = join(dataDir, name)
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  writeFileSync(draft, create(), { mode: 0o600, flag: 'wx' })
  try {
    linkSync(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft)
  }
  return readFileSync(path, 'utf8')
}

/** A random secret of 256 bits that outlives restarts. */
export function readOrCreateSecret(dataDir: string, name: string): string {
  return readOrCreate(dataDir, name, () => randomBytes(32).toString('base64url'))
}
