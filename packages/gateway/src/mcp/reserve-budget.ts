import { reserve } from '../budget/ledger.ts'
import { GatewayError } from '../errors/errors.ts'
import type { Middleware } from '../http/middleware.ts'
import { connectionOf, type Edge, policyCallOf } from './edge.ts'
import { requestsOf } from './envelope.ts'
import { step } from './step.ts'

/**
 * Charges each request of the call to the budgets that count it, before the runtime sees it. Of a batch all or nothing. What never reached the runtime is given back when the
 * request has ended.
 */
export function reserveBudget(edge: Edge): Middleware {
  const { budgets } = edge.server
  return step(edge, 'reserveBudget', 'checkPolicy', 'budget', async (call, _req, res) => {
    if (budgets.length === 0) return 'go-on'
    const connection = connectionOf(call)
    const refunds: (() => Promise<void>)[] = []
    const refundAll = async () => void (await Promise.all(refunds.map((refund) => refund())))
    try {
      for (const { method, params } of requestsOf(call.body?.messages ?? [])) {
        const { subject, clientId, claims, tool } = policyCallOf(edge, call, method, params)
        const caller = { subject, clientId, claims, method, tool, connectionId: connection.id, serverId: edge.server.id }
        const reservation = await reserve(edge.deps, budgets, caller)
        if (reservation.notes.length > 0) call.event.budgets = [...(call.event.budgets ?? []), ...reservation.notes]
        if (!reservation.granted) throw new GatewayError('budget_spent', { message: reservation.text, headers: reservation.headers })
        refunds.push(reservation.refund)
        for (const [name, value] of Object.entries(reservation.headers)) res.setHeader(name, value)
      }
    } catch (error) {
      await refundAll()
      throw error
    }
    if (refunds.length > 0) call.atEnd.push(({ reachedRuntime }) => (reachedRuntime ? undefined : refundAll()))
    return 'go-on'
  })
}
