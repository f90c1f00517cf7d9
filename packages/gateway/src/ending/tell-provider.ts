import { setTimeout as wait } from 'node:timers/promises'
import type { Deps } from '../deps.ts'
import type { Downstream } from '../grants/downstream.ts'

/** What the provider is to forget. */
export interface Revocation {
  provider: string
  refreshToken: string
  subject: string
  connectionId?: string
}

type TellDeps = Pick<Deps, 'log'> & { downstreams: Record<string, Downstream> }

const longestWaitMs = 3_000

/**
 * Tells a provider that a refresh token is not needed any more (RFC 7009). Waited for a moment, so that whoever pressed "disconnect" usually sees it done; a provider that does
 * not answer is tried further behind the answer. It never fails: for us the grant is gone already.
 */
export async function tellProvider(deps: TellDeps, revocation: Revocation): Promise<void> {
  const waiting = new AbortController()
  const told = tell(deps, revocation).finally(() => waiting.abort())
  await Promise.race([told, wait(longestWaitMs, undefined, { signal: waiting.signal }).catch(() => undefined)])
}

async function tell(deps: TellDeps, revocation: Revocation): Promise<void> {
  try {
    const done = await deps.downstreams[revocation.provider]?.revoke(revocation.refreshToken)
    write(deps, revocation, 'info', done ? undefined : 'the provider has no revocation endpoint')
  } catch (error) {
    const { reason, message } = error as { reason?: string; message?: string }
    write(deps, revocation, 'warn', `the provider could not be told: ${reason ?? message ?? 'unknown'}`)
  }
}

function write(deps: TellDeps, { provider, subject, connectionId }: Revocation, level: 'info' | 'warn', reason?: string): void {
  deps.log.write({
    event: 'grant.revoked',
    level,
    provider,
    subject,
    ...(connectionId === undefined ? {} : { connectionId }),
    ...(reason === undefined ? {} : { reason }),
  })
}
