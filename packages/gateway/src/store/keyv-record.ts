import { StoreUnavailable } from '../errors/errors.ts'
import { isMapBacked, type KeyvLike } from './keyv-like.ts'
import type { Watched } from './keyv-outage.ts'

/** What a record holds: a value, or the units of a counter; and when it ends, in milliseconds since the epoch. */
export interface KeyvEntry {
  value: string | number
  expires: number
}

/** One record of a Keyv. Every method rejects with StoreUnavailable when it cannot be sure of its answer. */
export interface KeyvRecord {
  read(): Promise<KeyvEntry | undefined>
  write(entry: KeyvEntry): Promise<void>
  remove(): Promise<void>
}

const canaryKey = 'emcy-canary'
const canaryLifeMs = 86_400_000

/**
 * The record that `key` names. What a Keyv says is not taken on trust, for some adapters tell nobody of an outage: absence counts only while a canary can be
 * read, and a write only when it can be read back. A Map needs neither.
 *
 * @param call runs each call of the Keyv
 */
export function keyvRecord(keyv: KeyvLike, key: string, call: Watched): KeyvRecord {
  const ownKey = `emcy:${key}`
  const cannotFail = isMapBacked(keyv)
  const get = (name: string) => call(() => keyv.get(name))
  const set = async (name: string, text: string, ttlMs: number): Promise<void> => {
    if ((await call(() => keyv.set(name, text, ttlMs))) === false) throw new StoreUnavailable('keyv: a write was refused')
  }
  const confirmAbsence = async (): Promise<void> => {
    if (cannotFail || !isAbsent(await get(canaryKey))) return
    await set(canaryKey, 'alive', canaryLifeMs)
    if (isAbsent(await get(canaryKey))) throw new StoreUnavailable('keyv: reads answer "absent" even for what was just written')
  }
  return {
    async read() {
      const found = await get(ownKey)
      if (isAbsent(found)) {
        await confirmAbsence()
        return undefined
      }
      const entry = parseEntry(found)
      return entry.expires > Date.now() ? entry : undefined
    },
    async write(entry) {
      const text = `${entry.expires}${typeof entry.value === 'number' ? '#' : ' '}${entry.value}`
      // Below a millisecond of life there is none left to write with.
      await set(ownKey, text, Math.max(1, entry.expires - Date.now()))
      if (cannotFail || entry.expires <= Date.now()) return
      const found = await get(ownKey)
      if (found !== text && entry.expires > Date.now()) throw new StoreUnavailable('keyv: a write was not kept')
    },
    async remove() {
      await call(() => keyv.delete(ownKey))
      if (cannotFail) return
      if (!isAbsent(await get(ownKey))) throw new StoreUnavailable('keyv: a deletion was not kept')
      await confirmAbsence()
    },
  }
}

function isAbsent(found: unknown): boolean {
  return found === undefined || found === null
}

function parseEntry(found: unknown): KeyvEntry {
  const [, expires, kind, rest] = (typeof found === 'string' && /^(\d+)([ #])(.*)$/s.exec(found)) || []
  if (expires === undefined || rest === undefined) throw new StoreUnavailable('keyv: a record was not written by this gateway')
  return { expires: Number(expires), value: kind === '#' ? Number(rest) : rest }
}
