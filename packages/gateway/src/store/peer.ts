import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigError } from '../errors/errors.ts'

/**
 * Loads a package that only some set-ups need: an optional peer of the gateway, or the driver under a Keyv adapter. At once, so that a missing one is told
 * at start-up and not by the first user.
 *
 * @param name of the package
 * @param beside the adapter that depends on it: its own copy comes first, as package managers need not let others see it
 * @throws ConfigError that says what to install
 */
export function loadPeer<T>(name: string, beside?: string): T {
  for (const from of [import.meta.url, pathToFileURL(join(process.cwd(), 'package.json')).href]) {
    const loaded = (beside !== undefined && loadBeside(name, beside, from)) || load(name, from)
    if (loaded) return loaded as T
  }
  throw new ConfigError('store', `needs the package ${name}: npm install ${name}`)
}

function loadBeside(name: string, beside: string, from: string): unknown {
  const adapter = resolve(beside, from)
  return adapter === undefined ? undefined : load(name, pathToFileURL(adapter).href)
}

function load(name: string, from: string): unknown {
  const path = resolve(name, from)
  return path === undefined ? undefined : createRequire(from)(path)
}

/** A package that is there but broken is an error of its own, so only its absence is no error here. */
function resolve(name: string, from: string): string | undefined {
  try {
    return createRequire(from).resolve(name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}
