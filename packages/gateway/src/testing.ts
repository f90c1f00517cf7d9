export { type StoreCheck, type StoreContractOptions, storeContract } from './store/contract.ts'
export type { StoreProcesses } from './store/contract-processes.ts'
export { type MemoryStoreOptions, memoryStore } from './store/memory.ts'
export { type MockRuntime, type MockRuntimeOptions, mockRuntime, type RuntimeCall } from './testing/mock-runtime.ts'
