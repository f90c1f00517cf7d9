/** SQLITE_BUSY; extended codes carry it in the low byte. */
const busy = 5

/** Whether a statement failed only because another process has the lock it needs. By structure: the error may come from another realm. */
export function isBusy(error: unknown): boolean {
  return (Number((error as { errcode?: unknown }).errcode) & 0xff) === busy
}
