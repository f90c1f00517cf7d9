/*
 * The store contract on @keyv/sqlite, for people: its driver compiles C for minutes, so `npm test` leaves it out.
 *
 *   node scripts/bootstrap.mjs scripts/contract-keyv-sqlite.mjs
 *
 * Installs the adapter into .cache, once, and runs the contract under Keyv 5 and 6 with 50 callers in 5 processes, 200 rounds. The processes import this
 * file too, for `open`.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Keyv } from 'keyv'
import { Keyv as Keyv5 } from 'keyv5'
import { storeContract } from '../packages/gateway/src/store/contract.ts'
import { keyvStore } from '../packages/gateway/src/store/keyv-store.ts'
import { root, run } from './run.mjs'

const adapter = '@keyv/sqlite@4.0.8'
const place = join(root, '.cache/keyv-sqlite-4.0.8')

/** Opens the store that this module's own URL names: `?path=…&keyv=5`. */
export function open() {
  const { searchParams } = new URL(import.meta.url)
  return openAt(searchParams.get('path'), searchParams.get('keyv'))
}

function openAt(path, major) {
  const { KeyvSqlite } = createRequire(join(place, 'package.json'))('@keyv/sqlite')
  const sqlite = new KeyvSqlite({ uri: `sqlite://${path}` })
  const store = keyvStore(major === '5' ? new Keyv5(sqlite) : new Keyv({ store: sqlite }), { waitMs: 20_000 })
  let closing
  const close = async () => {
    await store.close()
    await sqlite.disconnect()
  }
  return {
    ...store,
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

async function install() {
  if (existsSync(place)) return
  console.log(`Installing ${adapter} into .cache, once; its driver is compiled, which takes minutes …`)
  // Installed beside its place and renamed, so that half of it never counts.
  const mine = `${place}.${process.pid}`
  const code = await run('npm', ['install', '--prefix', mine, '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error', adapter])
  if (code !== 0) throw new Error(`npm could not install ${adapter}`)
  await rename(mine, place)
}

if (process.argv[1] === import.meta.filename) {
  await install()
  const folder = await mkdtemp(join(tmpdir(), 'emcy-keyv-sqlite-'))
  const failed = []
  let passed = 0
  for (const major of ['6', '5']) {
    const path = join(folder, `keyv-${major}.db`)
    const module = `${import.meta.url}?keyv=${major}&path=${encodeURIComponent(path)}`
    for (const check of storeContract({ name: `@keyv/sqlite, keyv ${major}`, open: () => openAt(path, major), processes: { module, rounds: 200 } })) {
      const began = performance.now()
      try {
        await check.run()
        passed++
        console.log(`ok      ${check.name} (${Math.round(performance.now() - began)} ms)`)
      } catch (error) {
        failed.push(check.name)
        console.log(`FAILED  ${check.name}\n${error.stack}`)
      }
    }
  }
  await rm(folder, { recursive: true })
  console.log(`\n${passed} passed, ${failed.length} failed`)
  process.exitCode = failed.length === 0 ? 0 : 1
}
