import type { ServerConfig } from '../config.ts'
import type { Deps } from '../deps.ts'
import { GatewayError } from '../errors/errors.ts'
import type { Downstream } from '../grants/downstream.ts'
import type { Grant } from '../grants/grant.ts'
import type { Json } from '../lib/json.ts'
import { withIncluded } from '../lib/scope-hierarchy.ts'
import { subjectKey } from '../lib/subject-key.ts'
import type { PolicyCaller } from '../policy/filter-list.ts'
import type { PolicyCall } from '../rules.ts'
import type { RuntimeLeg } from '../runtime/contract.ts'
import type { Stored } from '../store/records.ts'
import type { Call } from './call.ts'
import type { LastDiscovery } from './last-discovery.ts'
import type { OpenStreams } from './open-streams.ts'
import type { Reply } from './request-state.ts'
import type { LegacySession } from './session.ts'
import type { Asking } from './url-elicitation.ts'

/** What the steps of a server ask for. */
export type ServerDeps = Deps & { downstreams: Record<string, Downstream> }

/** What the steps of one server share, for as long as the process lives. Nothing here is truth: each part may be lost at any time. */
export interface Edge {
  deps: ServerDeps
  server: ServerConfig
  leg: RuntimeLeg
  streams: OpenStreams
  discovery: LastDiscovery
  /** Annotations by tool, as the runtime's lists said. */
  annotations: Map<string, Record<string, Json>>
}

/** What an answer is owed to. */
export interface Owed {
  id: string | number
  method: string
}

/** What the steps of one call tell each other and nobody else. */
export interface Notes {
  /** Requests of the body, as soon as they are known. */
  owed: Owed[]
  batch: boolean
  modern: boolean
  /** The token came by the DPoP scheme, or is one that may only come by it. */
  dpop: boolean
  /** The grant's read, begun beside that of the connection. */
  grantRead?: { key: string; read: Promise<Stored<Grant> | undefined> }
  /** Which token set of the grant the call has. */
  grantVersion?: number
  /** That set was fetched while this call waited for it. */
  grantIsFresh?: boolean
  /** The legacy session that the runtime has. */
  session?: LegacySession | undefined
  /** How the client can be asked to let its user open a link; undefined: not at all. */
  asking?: Asking | undefined
  /** What came back of our own elicitation. */
  reply?: Reply | undefined
  /** The grant is dead, and the call went on without its token: what to throw if the runtime cannot do without. */
  withoutGrant?: GatewayError
  reachedRuntime: boolean
  /** Names of the steps that have run. */
  ran: Set<string>
}

const notes = new WeakMap<Call, Notes>()

/** The notes of a call. */
export function notesOf(call: Call): Notes {
  let found = notes.get(call)
  if (!found) {
    found = { owed: [], batch: false, modern: false, dpop: false, reachedRuntime: false, ran: new Set() }
    notes.set(call, found)
  }
  return found
}

/** The connection of a call that check-bearer let pass. */
export function connectionOf(call: Call): NonNullable<Call['connection']> {
  if (!call.connection) throw new GatewayError('internal_error', { reason: 'checkBearer has not run before this step' })
  return call.connection
}

/** The scopes of the token with all that they include: what rules and the runtime ask for is held against these (BC-13). */
export function heldScopes(edge: Edge, call: Call): string[] {
  return withIncluded(edge.deps.config.scopeHierarchy, call.scopes ?? connectionOf(call).scopes)
}

/** Who calls, as policies look at them. */
export function callerOf(edge: Edge, call: Call): PolicyCaller {
  const { clientId, clientTrust, identity } = connectionOf(call)
  return {
    server: call.server.id,
    subject: identity && subjectKey(identity),
    clientId,
    clientTrust,
    scopes: heldScopes(edge, call),
    claims: identity?.claims ?? {},
  }
}

/** One request of a call, as policies look at it. */
export function policyCallOf(edge: Edge, call: Call, method: string, params: Json | undefined): PolicyCall {
  const object = typeof params === 'object' && params !== null && !Array.isArray(params) ? params : {}
  const tool = method === 'tools/call' && typeof object.name === 'string' ? object.name : undefined
  return { ...callerOf(edge, call), method, tool, arguments: object.arguments, annotations: tool === undefined ? undefined : edge.annotations.get(tool) }
}
