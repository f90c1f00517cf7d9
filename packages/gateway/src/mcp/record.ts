import type { Middleware } from '../http/middleware.ts'
import { type Call, setCall } from './call.ts'
import { type Edge, notesOf } from './edge.ts'

/**
 * First step: starts the call and, whatever becomes of it, ends it once: refunds and releases run, then its one event is written. The listeners go on before anything is
 * awaited, so a client that leaves at once is seen too.
 */
export function record(edge: Edge): Middleware {
  return function record(req, res, next) {
    const { clock, random, log } = edge.deps
    const id = random(12)
    const startedAt = clock()
    const call: Call = {
      id,
      startedAt,
      server: edge.server,
      atEnd: [],
      event: {
        event: 'mcp.request',
        level: 'info',
        requestId: id,
        server: edge.server.id,
        httpMethod: req.method ?? '',
        httpStatus: 0,
        bytesIn: 0,
        bytesOut: 0,
        ms: { total: 0 },
      },
    }
    const traceId = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/.exec(String(req.headers.traceparent ?? ''))?.[1]
    if (traceId !== undefined) call.event.traceId = traceId
    setCall(req, call)
    let hasEnded = false
    const end = () => {
      if (hasEnded) return
      hasEnded = true
      if (!res.writableFinished) call.event.clientGone = true
      void finish(edge, call).then(() => {
        call.event.httpStatus = res.headersSent ? res.statusCode : 0
        call.event.ms.total = clock() - startedAt
        log.write(call.event)
      })
    }
    res.once('finish', end)
    res.once('close', end)
    next()
  }
}

/* One hook that fails keeps no other from running. */
async function finish(edge: Edge, call: Call): Promise<void> {
  const outcome = { reachedRuntime: notesOf(call).reachedRuntime }
  const ended = await Promise.allSettled(call.atEnd.map(async (hook) => hook(outcome)))
  for (const one of ended) {
    if (one.status === 'fulfilled') continue
    edge.deps.log.write({
      event: 'gateway.error',
      level: 'error',
      message: 'a hook at the end of a request failed',
      requestId: call.id,
      reason: String(one.reason),
    })
  }
}
