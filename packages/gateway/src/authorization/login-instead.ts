import type { ServerResponse } from 'node:http'
import type { Params } from '../http/params.ts'
import type { FrontDeps } from './front-deps.ts'
import { newPendingId, type Pending, savePending } from './pending.ts'
import { isRefusedAsInvalid } from './provider-refusal.ts'
import { startDownstream } from './start-downstream.ts'
import { setTransactionCookie } from './transaction-cookies.ts'

/**
 * Sends the browser to the provider once more, with `prompt=login`, when it refused a request with `prompt=select_account`: providers need not know that value, no metadata
 * says which they know, and no client's `prompt` may be its user's end (clients.md line 14). Who signs in anew has chosen an account, too.
 *
 * @param pending taken: its state has been checked and is used up
 * @returns where the browser goes; undefined when it is another answer
 */
export async function loginInstead(deps: FrontDeps, res: ServerResponse, pending: Pending, answer: Params): Promise<string | undefined> {
  const providerId = deps.config.servers[pending.request.server]?.provider
  if (providerId === undefined || pending.request.prompt !== 'select_account') return undefined
  if (!isRefusedAsInvalid(answer, deps.config.providers[providerId]?.issuer)) return undefined
  const { browser, expected, decision } = pending
  const [id, request] = [newPendingId(deps), { ...pending.request, prompt: 'login' as const }]
  const { leg, goOn } = await startDownstream(deps, id, providerId, request)
  await savePending(deps, { id, phase: 'downstream', request, browser, expected, decision }, { leg, goOn })
  setTransactionCookie(deps, res, 'state', id, leg.state)
  return goOn
}
