import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayError } from '../errors/errors.ts'
import type { Middleware } from '../http/middleware.ts'
import { sendJson } from '../http/respond.ts'
import { type Call, getCall } from './call.ts'
import { type Edge, notesOf } from './edge.ts'
import { isOver, refuse } from './refuse.ts'

/** The steps, in the one order in which they can run. */
export type StepName = 'record' | 'checkBearer' | 'readCall' | 'checkPolicy' | 'reserveBudget' | 'attachGrant' | 'proxy'

/** Which part of `event.ms` a step fills. */
type Stage = 'authorize' | 'policy' | 'budget' | 'grant'

/** What a step does. `done`: it has answered, nothing comes after it. */
export type Work = (call: Call, req: IncomingMessage, res: ServerResponse) => Promise<'go-on' | 'done'>

/**
 * Makes a step of the endpoint a middleware: it finds the call, takes the time, and refuses whatever is thrown. Connect and Express 4 do not catch what an async function
 * throws, so it is done here. A step that is left out must not go unnoticed, so each insists on the one before it.
 *
 * @param before the step that has to have run
 */
export function step(edge: Edge, name: StepName, before: StepName, stage: Stage | undefined, work: Work): Middleware {
  const run = async (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => {
    if (isOver(res)) return
    const call = getCall(req)
    if (!call || call.server.id !== edge.server.id) {
      edge.deps.log.write({ event: 'gateway.error', level: 'error', message: `${name} of server ${edge.server.id} came before its record step` })
      sendJson(res, 500, { jsonrpc: '2.0', error: { code: -32603, message: 'Something failed inside the gateway.' } })
      return
    }
    const startedAt = edge.deps.clock()
    let outcome: 'go-on' | 'done' = 'done'
    try {
      const { ran } = notesOf(call)
      if (before !== 'record' && !ran.has(before)) throw new GatewayError('internal_error', { reason: `${name} came without ${before} before it` })
      outcome = await work(call, req, res)
      ran.add(name)
    } catch (error) {
      refuse(edge, res, call, error)
    } finally {
      if (stage) call.event.ms[stage] = edge.deps.clock() - startedAt
    }
    if (outcome === 'go-on' && !isOver(res)) next()
  }
  // An error of the middleware after us is not ours to answer: Express and Connect have their own way with it.
  const middleware: Middleware = (req, res, next) => void run(req, res, next).catch(next)
  return Object.defineProperty(middleware, 'name', { value: name })
}
