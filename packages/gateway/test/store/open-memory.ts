import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'

/** A store that shares nothing with other processes: what the contract must find out. */
export function open(): Store {
  return memoryStore()
}
