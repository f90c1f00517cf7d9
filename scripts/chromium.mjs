// Chromium for the page tests, from Debian's packages when it is not there.
import { existsSync } from 'node:fs'
import { run } from './run.mjs'

/** Where Debian puts it. */
export const chromiumPath = '/usr/bin/chromium'

/**
 * Makes sure that Chromium is installed.
 *
 * @throws when it is not there and cannot be installed: a test that silently skips its server proves nothing
 */
export async function ensureChromium() {
  if (existsSync(chromiumPath)) return chromiumPath
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const apt = (...args) => {
    const [command, ...rest] = [...asRoot, 'apt-get', '-o', 'DPkg::Lock::Timeout=120', ...args]
    return run(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  await apt('update', '-qq')
  await apt('install', '-y', '-qq', '--no-install-recommends', 'chromium')
  if (!existsSync(chromiumPath)) throw new Error(`${chromiumPath} is missing and could not be installed`)
  return chromiumPath
}
