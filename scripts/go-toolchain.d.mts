/** Whether a version of Go reaches a wanted one. */
export function isNewEnough(version: string, wanted: string): boolean
/** Command and version of a Go toolchain, installed when there is none. */
export function ensureGo(): Promise<{ go: string; version: string }>
/** Folder with the built Go clients of test/go, one program for each folder. */
export function ensureGoClients(): Promise<string>
