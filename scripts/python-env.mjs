// Virtual environments for the Python servers and clients that examples and tests run, kept in .cache by what is in them.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { output, root } from './run.mjs'

/**
 * Makes sure that a virtual environment with these requirements exists; one that is there already costs a few milliseconds.
 *
 * @param {string} [requirements] path of a requirements.txt with exact versions; the FastMCP sample's when left out
 * @returns {Promise<string>} absolute path of its Python
 * @throws when there is no python3 with venv and pip, or a package cannot be installed
 */
export async function ensurePythonEnv(requirements = join(root, 'examples/FastMCP.Sample/requirements.txt')) {
  const version = await output('python3', ['--version']).catch((error) => {
    throw new Error(`python3 could not be run (on Debian: apt-get install python3 python3-venv python3-pip)\n${error.message}`)
  })
  const content = createHash('sha256').update(version).update(readFileSync(requirements)).digest('hex').slice(0, 16)
  const place = join(root, '.cache', `python-${content}`)
  const python = join(place, 'bin', 'python')
  if (existsSync(python)) return python

  // Built beside its place and renamed: a half-done environment never counts, and two at once do not meet. Its Python finds itself by its own path, so it bears the move.
  const mine = `${place}.${process.pid}`
  await mkdir(join(root, '.cache'), { recursive: true })
  console.log(`Installing ${requirements.slice(root.length + 1)} into .cache, once …`)
  try {
    await output('python3', ['-m', 'venv', '--without-pip', mine])
    await output('python3', ['-m', 'pip', '--python', join(mine, 'bin', 'python'), 'install', '--quiet', '--requirement', requirements])
    await rename(mine, place).catch((error) => {
      if (!existsSync(python)) throw error
    })
  } finally {
    await rm(mine, { recursive: true, force: true })
  }
  return python
}
