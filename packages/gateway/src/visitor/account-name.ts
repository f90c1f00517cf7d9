import { oneLine } from '../lib/plain-text.ts'

const longest = 100

/** What pages call an account: the provider's name for its user, or else the `sub`, without characters that hide others or turn them around; users often choose both. */
export function accountName({ name, sub }: { name?: string | undefined; sub: string }): string {
  return oneLine(name ?? sub, longest) || 'a user without a name'
}
