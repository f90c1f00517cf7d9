import { EventEmitter } from 'node:events'

/** How the adapter behaves: well, or as adapters were seen to behave in an outage. */
export type Mood =
  | 'well'
  /** Calls reject. */
  | 'rejects'
  /** Calls never settle. */
  | 'hangs'
  /** An `error` event; reads answer undefined and writes true, as @keyv/redis 5 does with `disableOfflineQueue`. */
  | 'lies with an event'
  /** The same without even an event. */
  | 'lies in silence'
  /** Reads work, writes and deletions are dropped and answer true. */
  | 'drops writes in silence'
  /** Writes and deletions answer false. */
  | 'refuses writes'

/** An adapter as a third party would write one for Keyv 5 (relative life, `on`), over a table that stands for a server. */
export class ThirdPartyAdapter extends EventEmitter {
  mood: Mood = 'well'
  namespace: string | undefined
  opts = { dialect: 'third-party' }
  readonly table = new Map<string, { value: string; expires: number | undefined }>()

  async get(key: string): Promise<string | undefined> {
    await this.roundTrip()
    if (this.lies()) return undefined
    const row = this.table.get(key)
    return row && (row.expires === undefined || row.expires > Date.now()) ? row.value : undefined
  }

  async set(key: string, value: string, ttl?: number): Promise<boolean> {
    await this.roundTrip()
    if (this.mood === 'refuses writes') return false
    if (!this.lies() && this.mood !== 'drops writes in silence') this.table.set(key, { value, expires: ttl && Date.now() + ttl })
    return true
  }

  async delete(key: string): Promise<boolean> {
    await this.roundTrip()
    if (this.mood === 'refuses writes') return false
    if (this.lies() || this.mood === 'drops writes in silence') return true
    return this.table.delete(key)
  }

  async clear(): Promise<void> {
    this.table.clear()
  }

  private async roundTrip(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.mood === 'rejects') throw new Error('connection refused')
    if (this.mood === 'hangs') await new Promise(() => undefined)
    if (this.mood === 'lies with an event') this.emit('error', new Error('connection lost'))
  }

  private lies(): boolean {
    return this.mood === 'lies with an event' || this.mood === 'lies in silence'
  }
}

/** The same with every method of a storage adapter, and a namespace that it puts before its keys itself, as @keyv/redis and the SQL adapters do. */
export class NamespacedAdapter extends ThirdPartyAdapter {
  override async get(key: string): Promise<string | undefined> {
    return super.get(`${this.namespace}::${key}`)
  }

  override async set(key: string, value: string, ttl?: number): Promise<boolean> {
    return super.set(`${this.namespace}::${key}`, value, ttl)
  }

  override async delete(key: string): Promise<boolean> {
    return super.delete(`${this.namespace}::${key}`)
  }

  async has(key: string): Promise<boolean> {
    return (await this.get(key)) !== undefined
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.has(key)))
  }

  async getMany(keys: string[]): Promise<(string | undefined)[]> {
    return Promise.all(keys.map((key) => this.get(key)))
  }

  async setMany(entries: { key: string; value: string; ttl?: number }[]): Promise<boolean[]> {
    return Promise.all(entries.map(({ key, value, ttl }) => this.set(key, value, ttl)))
  }

  async deleteMany(keys: string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.delete(key)))
  }
}

/** The same as an adapter of Keyv 6, whose `set` takes the moment of expiry and not a life. */
export class Keyv6Adapter extends NamespacedAdapter {
  readonly capabilities = { expires: true }

  override async set(key: string, value: string, expires?: number): Promise<boolean> {
    return super.set(key, value, expires && expires - Date.now())
  }
}
