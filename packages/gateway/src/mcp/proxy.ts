import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../errors/errors.ts'
import type { Middleware } from '../http/middleware.ts'
import { neverRefused } from '../lib/never-refused.ts'
import { announcedResult } from './announcements.ts'
import { askRuntime } from './ask-runtime.ts'
import type { Call } from './call.ts'
import { connectionOf, type Edge, notesOf } from './edge.ts'
import { passAnswer } from './pass-answer.ts'
import { answer, noteFailure } from './refuse.ts'
import { step } from './step.ts'

/**
 * Last step: sends the call to the runtime and its answer to the client. A client that leaves is at once seen by the runtime as a client that leaves.
 */
export function proxy(edge: Edge): Middleware {
  return step(edge, 'proxy', 'attachGrant', undefined, async (call, req, res) => {
    const leave = edge.streams.enter(connectionOf(call).id, isBounded(call, req))
    const left = new AbortController()
    res.once('close', () => {
      if (!res.writableFinished) left.abort()
    })
    const askedAt = edge.deps.clock()
    try {
      const response = await askRuntime(edge, call, req, left.signal)
      call.event.ms.runtime = edge.deps.clock() - askedAt
      await passAnswer(edge, call, res, response)
    } catch (error) {
      call.event.ms.runtime ??= edge.deps.clock() - askedAt
      if (left.signal.aborted) return 'done'
      const standIn = lastDiscovery(edge, call, error)
      if (standIn === undefined || res.headersSent) throw error
      answer(res, call, standIn)
    } finally {
      leave()
    }
    return 'done'
  })
}

/* Methods that are never refused are not refused for other people's streams either. */
function isBounded(call: Call, req: IncomingMessage): boolean {
  if (req.method === 'GET') return true
  return notesOf(call).owed.some(({ method }) => !neverRefused(method))
}

/* What `server/discover` gets while the runtime is down: any failure of it costs clients the whole connection (refusals.md). */
function lastDiscovery(edge: Edge, call: Call, error: unknown) {
  const [owed, ...others] = notesOf(call).owed
  if (owed?.method !== 'server/discover' || others.length > 0) return undefined
  if (!(error instanceof GatewayError) || !(error.code.startsWith('runtime_') || error.code === 'reconnect_required')) return undefined
  const result = edge.discovery.get(connectionOf(call).id)
  if (result === undefined) return undefined
  noteFailure(call, error)
  delete call.event.rpcCode
  return { jsonrpc: '2.0', id: owed.id, result: announcedResult(edge, result) }
}
