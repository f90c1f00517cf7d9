import { existsSync, statSync } from 'node:fs'
import { afterAll, describe, expect, it } from '@jest/globals'
import { Keyv } from 'keyv'
import { Keyv as Keyv5 } from 'keyv5'
import { ConfigError } from '../../src/errors/errors.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { openStore } from '../../src/store/open-store.ts'
import { scratchFolder } from './scratch.ts'
import { ThirdPartyAdapter } from './third-party-adapter.ts'

const scratch = scratchFolder()
afterAll(scratch.remove)

function refusal(option: unknown): ConfigError {
  try {
    openStore(option as string, 1_000)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return error as ConfigError
  }
  throw new Error('the option was accepted')
}

describe('the store option', () => {
  it.each([
    ['left out', undefined, 'memory'],
    ['memory:', 'memory:', 'memory'],
    ['a Keyv 6', new Keyv(), 'keyv (memory)'],
    ['a Keyv 5', new Keyv5(), 'keyv (memory)'],
    ['a Keyv with an adapter', new Keyv({ store: new ThirdPartyAdapter() }), 'keyv (ThirdPartyAdapter)'],
    ['a store', { ...memoryStore(), name: 'own' }, 'own'],
  ])('%s opens what it names', async (_, option, name) => {
    const store = openStore(option, 1_000)
    expect(store.name).toBe(name)
    await store.set('a', 'b', 1_000)
    expect(await store.get('a')).toBe('b')
  })

  it.each(['sqlite:', 'sqlite://'])('%s opens the file after it', async (prefix) => {
    const path = scratch.path(`${prefix.length}.db`)
    const store = openStore(`${prefix}${path}`, 1_000)
    expect(store).toMatchObject({ name: 'sqlite', atomicAcrossProcesses: true })
    expect(existsSync(path)).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    await store.close()
  })

  it.each([
    ['redis://:hunter2@127.0.0.1:1', 'redis'],
    ['rediss://127.0.0.1:1', 'redis'],
    ['valkey://127.0.0.1:1', 'valkey'],
    ['postgres://user:hunter2@127.0.0.1:1/db', 'postgres'],
    ['postgresql://127.0.0.1:1', 'postgres'],
  ])('%s is opened at once, and refuses while nothing is there', async (address, name) => {
    const store = openStore(address, 500)
    expect(store).toMatchObject({ name, atomicAcrossProcesses: true })
    await expect(store.get('a')).rejects.toMatchObject({ code: 'store_unavailable' })
    await store.close()
  })

  it.each(['redis:', 'redis://', 'postgres:hunter2', 'valkey:///x'])('"%s" is refused without its password', (address) => {
    expect(refusal(address)).toMatchObject({ option: 'store', message: expect.stringContaining('needs an address such as') })
    expect(refusal(address).message).not.toContain('hunter2')
  })

  it.each(['', 'memory', 'memory:x', 'sqlite', 'sqlite:', 'sqlite://', 'sqlite::memory:', 'mysql://host', './gateway.db', 'constructor:'])(
    '"%s" is refused',
    (option) => {
      expect(refusal(option).option).toBe('store')
    },
  )

  it.each([
    ['an adapter in place of a Keyv', new ThirdPartyAdapter()],
    ['a Map', new Map()],
    ['a part of a store', { get: () => undefined, set: () => undefined, delete: () => undefined }],
    ['null', null],
    ['a number', 5],
  ])('%s is refused', (_, option) => {
    expect(refusal(option).message).toMatch(/must be a Keyv/)
  })

  it('a file that cannot be opened is refused with its name', () => {
    expect(refusal(`sqlite:${scratch.path('no-such-folder/gateway.db')}`).message).toMatch(/cannot open the SQLite file .*no-such-folder/)
  })
})
