import { rememberRefusedScopes } from '../clients/step-up.ts'
import { GatewayError } from '../errors/errors.ts'
import type { Middleware } from '../http/middleware.ts'
import { subjectKey } from '../lib/subject-key.ts'
import { inBackground } from '../log/background.ts'
import { type Decision, evaluate } from '../policy/evaluate.ts'
import type { Call } from './call.ts'
import { connectionOf, type Edge, policyCallOf } from './edge.ts'
import { requestsOf } from './envelope.ts'
import { InsufficientScope } from './refuse.ts'
import { step } from './step.ts'

/** Lets each request of the call be judged by the gateway's and the server's policies. Of a batch one refused member refuses all: nothing is forwarded, nothing spent. */
export function checkPolicy(edge: Edge): Middleware {
  return step(edge, 'checkPolicy', 'readCall', 'policy', async (call) => {
    for (const { method, params } of requestsOf(call.body?.messages ?? [])) {
      const policyCall = policyCallOf(edge, call, method, params)
      const decision = await evaluate(edge.server.policies, policyCall)
      note(call, decision)
      if (decision.outcome !== 'allow') throw await refusalOf(edge, call, decision, policyCall.tool)
    }
    return 'go-on'
  })
}

function note({ event }: Call, decision: Decision): void {
  event.decision = decision.outcome
  event.rule = decision.rule
  if (decision.dryRun.length > 0) event.dryRun = [...new Set([...(event.dryRun ?? []), ...decision.dryRun])]
}

async function refusalOf(edge: Edge, call: Call, decision: Exclude<Decision, { outcome: 'allow' }>, tool: string | undefined): Promise<GatewayError> {
  switch (decision.outcome) {
    case 'hidden':
      return new GatewayError('tool_unknown', { message: `Unknown tool: ${(tool ?? '').slice(0, 128)}`, ...reasonOf(decision.detail) })
    case 'deny':
      return new GatewayError('call_denied', { message: decision.reason, ...reasonOf(decision.detail) })
    case 'insufficient_scope':
      return askForScopes(edge, call, decision.scopes, `rule ${decision.rule}`)
  }
}

function reasonOf(detail: string | undefined): { reason?: string } {
  return detail === undefined ? {} : { reason: detail }
}

/**
 * The refusal of a call that more scopes would let pass: the challenge names all that the operation needs with what the token has, in one go (BC-10, BC-11). They are
 * remembered before the client hears of it, since some clients authorize again with the `scope` they had.
 *
 * @param missing what the operation needs
 * @param by who asks for them, for the log
 */
export async function askForScopes(edge: Edge, call: Call, missing: string[], by: string): Promise<InsufficientScope> {
  const connection = connectionOf(call)
  const scopes = [...new Set([...(call.scopes ?? connection.scopes), ...missing])]
  if (connection.identity) {
    const refused = { subject: subjectKey(connection.identity), clientId: connection.clientId, serverId: edge.server.id, scopes }
    const remembered = rememberRefusedScopes(edge.deps, refused)
    inBackground(edge.deps.log, 'remembering refused scopes', remembered)
    // An outage costs the memory, not the answer.
    await remembered.catch(() => {})
  }
  return new InsufficientScope(scopes, by)
}
