import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'

/** A cleaned request for a runtime: what the client sent, stripped, with the contract headers set. */
export interface RuntimeRequest {
  method: string
  /** Lower-case names. */
  headers: Record<string, string | string[]>
  /** Byte for byte what the client sent; undefined without a body. */
  body: Buffer | undefined
  /** Aborted when the client leaves: the runtime then sees a client that leaves. */
  signal: AbortSignal
  /** How long the head of the answer may take. */
  responseStartMs: number
  /** Which of several runtimes, as an earlier {@link RuntimeResponse} named it: a session sticks to one. Undefined: any. */
  affinity: string | undefined
}

/** A runtime's answer: the head has arrived, the body streams. */
export interface RuntimeResponse {
  status: number
  headers: IncomingHttpHeaders
  body: Readable
  /** Names the runtime that answered, where there are several; `[A-Za-z0-9_-]{8}`. */
  affinity: string | undefined
}

/**
 * The one small port between gateway and runtime. Rejects with `GatewayError` `runtime_unreachable` (never connected: nothing was executed),
 * `runtime_died` (connected, then lost before the head), `runtime_timeout`, `runtime_invalid` (no HTTP), or `session_ended` for an affinity that is no more.
 */
export interface RuntimeLeg {
  readonly description: string
  send(request: RuntimeRequest): Promise<RuntimeResponse>
  close(): Promise<void>
}
