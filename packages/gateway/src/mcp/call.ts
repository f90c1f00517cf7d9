import type { IncomingMessage } from 'node:http'
import type { ServerConfig } from '../config.ts'
import type { Connection } from '../connections/connection.ts'
import type { Json } from '../lib/json.ts'
import type { McpRequestEvent } from '../log/events.ts'

/** A JSON-RPC message as it was read: only what the gateway acts on. */
export interface RpcMessage {
  kind: 'request' | 'notification' | 'response'
  id: string | number | undefined
  method: string | undefined
  params: Json | undefined
}

/** What a request on an MCP endpoint carries. */
export interface ReadBody {
  /** The bytes as they came. */
  raw: Buffer
  messages: RpcMessage[]
  batch: boolean
  /** `modern`: 2026-07-28 and later, each request for itself; `legacy`: an `initialize` handshake. */
  era: 'legacy' | 'modern'
  /** Protocol revision, where the request says one. */
  revision: string | undefined
}

/**
 * The state of one request on an MCP endpoint. Each step of the endpoint reads it and adds one field. Kept beside the request (see {@link getCall}), never on it.
 */
export interface Call {
  /** The id under which this call is logged; also sent to the runtime. */
  id: string
  startedAt: number
  server: ServerConfig
  /** Set by check-bearer. */
  connection?: Connection
  /** Scopes of the token presented. */
  scopes?: string[]
  /** Set by read-call; absent for GET and DELETE. */
  body?: ReadBody
  /** Set by attach-grant: the downstream access token for this call. */
  downstreamToken?: string
  /** The one event of this request, filled in on the way and written at its end. */
  event: McpRequestEvent
  /** Runs at the end of the request, whatever its end: refunds, releases. */
  atEnd: ((outcome: CallOutcome) => void | Promise<void>)[]
}

/** How a request ended. */
export interface CallOutcome {
  /** Whether the runtime was reached: a call that never was is refunded. */
  reachedRuntime: boolean
}

const calls = new WeakMap<IncomingMessage, Call>()

/** Remembers the call of a request. */
export function setCall(req: IncomingMessage, call: Call): void {
  calls.set(req, call)
}

/**
 * The state of a request on an MCP endpoint, for the team's own middleware between the steps.
 *
 * @param req the request as Express, Connect or `node:http` hand it over
 * @returns undefined before `record` has run, or outside an MCP endpoint
 */
export function getCall(req: IncomingMessage): Call | undefined {
  return calls.get(req)
}
