import { setTimeout as wait } from 'node:timers/promises'
import type { Deps } from '../deps.ts'
import { ProviderUnavailable } from '../errors/errors.ts'
import type { Downstream } from '../grants/downstream.ts'

/** What the provider is to forget. */
export interface Revocation {
  provider: string
  refreshToken: string
  subject: string
  connectionId?: string
}

/** Pauses before the second, third … attempt, in milliseconds. */
const pauses = [1_000, 5_000, 15_000]

/**
 * Tells a provider that a refresh token is not needed any more (RFC 7009). The first attempt is awaited, so that whoever pressed "disconnect" usually sees it done; when the
 * provider cannot be reached, further attempts go on behind the answer. It never fails: for us the grant is gone already.
 */
export async function tellProvider(deps: Pick<Deps, 'log'> & { downstreams: Record<string, Downstream> }, revocation: Revocation): Promise<void> {
  if (await attempt(deps, revocation)) return
  void tryAgain(deps, revocation)
}

async function tryAgain(deps: Parameters<typeof tellProvider>[0], revocation: Revocation): Promise<void> {
  for (const pause of pauses) {
    await wait(pause, undefined, { ref: false })
    if (await attempt(deps, revocation)) return
  }
  write(deps, revocation, 'warn', 'the provider could not be told')
}

/** Whether nothing is left to do. */
async function attempt(deps: Parameters<typeof tellProvider>[0], revocation: Revocation): Promise<boolean> {
  try {
    await deps.downstreams[revocation.provider]?.revoke(revocation.refreshToken)
    write(deps, revocation, 'info')
    return true
  } catch (error) {
    if (error instanceof ProviderUnavailable) return false
    write(deps, revocation, 'warn', error instanceof Error ? error.message : String(error))
    return true
  }
}

function write(deps: Pick<Deps, 'log'>, { provider, subject, connectionId }: Revocation, level: 'info' | 'warn', reason?: string): void {
  deps.log.write({
    event: 'grant.revoked',
    level,
    provider,
    subject,
    ...(connectionId === undefined ? {} : { connectionId }),
    ...(reason === undefined ? {} : { reason }),
  })
}
