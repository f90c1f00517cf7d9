import { afterAll, describe, it } from '@jest/globals'
import { Keyv } from 'keyv'
import { Keyv as Keyv5 } from 'keyv5'
import { storeContract } from '../../src/store/contract.ts'
import { withDeadline } from '../../src/store/deadline.ts'
import { keyvStore } from '../../src/store/keyv-store.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { openStore } from '../../src/store/open-store.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import { scratchFolder } from './scratch.ts'
import { Keyv6Adapter, NamespacedAdapter, ThirdPartyAdapter } from './third-party-adapter.ts'

const scratch = scratchFolder()
afterAll(scratch.remove)

const shared = { keyv6: new Keyv(), adapter: new ThirdPartyAdapter() }
const onOneAdapter = new Keyv({ store: shared.adapter })
const path = scratch.path('contract.db')
const module = `${new URL('./open-sqlite.ts', import.meta.url)}?path=${encodeURIComponent(path)}`

const suites = [
  storeContract({ name: 'memory', open: () => memoryStore() }),
  storeContract({ name: 'sqlite', open: () => sqliteStore(path, { waitMs: 10_000 }), processes: { module } }),
  storeContract({ name: 'keyv 6 on a Map', open: () => keyvStore(new Keyv()) }),
  storeContract({ name: 'keyv 6 on a Map, opened again and again', open: () => keyvStore(shared.keyv6) }),
  storeContract({ name: 'keyv 6 without serialisation', open: () => keyvStore(new Keyv({ serialization: false, namespace: 'check' })) }),
  storeContract({ name: 'keyv 5 on a Map', open: () => keyvStore(new Keyv5()) }),
  storeContract({ name: 'keyv 5 whose namespace begins our keys', open: () => keyvStore(new Keyv5({ namespace: 'emcy' })) }),
  storeContract({ name: 'keyv 6 on a third-party adapter', open: () => keyvStore(onOneAdapter) }),
  storeContract({ name: 'keyv 5 on a third-party adapter', open: () => keyvStore(new Keyv5({ store: new ThirdPartyAdapter() })) }),
  storeContract({ name: 'keyv 6 on a namespaced adapter', open: () => keyvStore(new Keyv({ store: new NamespacedAdapter(), namespace: 'a' })) }),
  storeContract({ name: 'keyv 6 on an adapter of its own', open: () => keyvStore(new Keyv({ store: new Keyv6Adapter() })) }),
  storeContract({ name: 'any store with a deadline', open: () => withDeadline(memoryStore(), 1_000) }),
  storeContract({ name: 'sqlite by its option', open: () => openStore(`sqlite:${scratch.path('by-option.db')}`, 1_000) }),
]

describe('the store contract', () => {
  for (const check of suites.flat()) it(check.name, check.run, 120_000)
})
