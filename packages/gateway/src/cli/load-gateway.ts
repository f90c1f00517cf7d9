import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigError } from '../errors/errors.ts'
import { createGateway, type Gateway } from '../gateway.ts'
import type { GatewayOptions } from '../options/gateway-options.ts'

/** Loads the options that a module exports. */
export async function loadOptions(path: string): Promise<GatewayOptions> {
  const url = pathToFileURL(resolve(path)).href
  let given: unknown
  try {
    const module = (await import(url)) as { default?: unknown }
    given = typeof module.default === 'function' ? await module.default() : module.default
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(`${path}: ${error.option}`, error.message.slice(error.option.length + 2))
    const { code, message } = error as { code?: string; message?: string }
    const gone = code === 'ERR_MODULE_NOT_FOUND' && message?.includes(`'${resolve(path)}'`)
    throw new ConfigError(path, gone ? 'there is no such file' : `cannot be loaded: ${error instanceof Error ? `${error.name}: ${message}` : String(error)}`)
  }
  if (typeof given !== 'object' || given === null)
    throw new ConfigError(path, 'must export as default the options of createGateway, or a function that returns them')
  return given as GatewayOptions
}

/** Creates the gateway of these options; what is wrong with them is said with the module's path. */
export function gatewayOf(options: GatewayOptions, path: string): Gateway {
  try {
    return createGateway(options)
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(`${path}: ${error.option}`, error.message.slice(error.option.length + 2))
    throw error
  }
}

/**
 * Lets a command work on the store of a configuration, beside the processes that serve it.
 *
 * @param path of the module, from the working directory
 * @throws ConfigError for a configuration that cannot be read or is wrong, or whose store no other process shares
 */
export async function withGateway(path: string, work: (gateway: Gateway) => Promise<void>): Promise<void> {
  const options = await loadOptions(path)
  if (options.store === undefined || options.store === 'memory:')
    throw new ConfigError(`${path}: store`, 'is the memory of one process, which no command reaches; name a store that the processes share')
  // Standard output is the command's own.
  const log = options.log === 'stdout' ? (event: unknown) => void process.stderr.write(`${JSON.stringify(event)}\n`) : options.log
  const gateway = gatewayOf({ ...options, ...(log !== undefined && { log }) } as GatewayOptions, path)
  try {
    await work(gateway)
  } finally {
    await gateway.close()
  }
}
