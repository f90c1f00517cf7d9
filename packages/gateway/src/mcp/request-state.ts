import { createHash } from 'node:crypto'
import type { Deps } from '../deps.ts'
import { GatewayError } from '../errors/errors.ts'
import { linkSeconds } from '../grants/reconnect-link.ts'
import type { Json } from '../lib/json.ts'
import { parseExactJson, stringifyExactJson } from '../lib/strict-json.ts'
import type { ReadBody } from './call.ts'
import { isObject, member } from './envelope.ts'

/** Our key among the `inputRequests` of an answer; no runtime's (EL-11). */
export const reconnectKey = 'ai.emcy/reconnect'

/** What came back of our own elicitation with a retry. */
export interface Reply {
  /** `accept` says that the user agreed to open the link, not that they have signed in (EL-9). */
  action: 'accept' | 'decline' | 'cancel'
  /** The link that they were shown. */
  linkId: string | undefined
}

/** What we keep with the client while it asks its user. */
interface State {
  /** Whose it is. */
  connectionId: string
  until: number
  /** Of the request that it belongs to. */
  digest: string
  linkId: string
  /** The runtime's own, which the request had before (EL-11). */
  requestState?: Json
  inputResponses?: Json
}

const prefix = 'emcy_rs_'
const context = 'request-state'
/** Most that a runtime's own state and the answers to it may have: it travels in ours. */
const mostKept = 131_072

type StateDeps = Pick<Deps, 'keys' | 'clock'>

/**
 * Makes the `requestState` of an elicitation of ours: sealed, short-lived, bound to the connection and to the request, with what the runtime had in its place (EL-10, EL-11).
 *
 * @returns undefined when the runtime's own is too large to be kept
 */
export function sealRequestState(deps: StateDeps, { connectionId, linkId }: { connectionId: string; linkId: string }, body: ReadBody): string | undefined {
  const { method, params } = exactly(body)
  const { requestState, inputResponses } = params
  const state: State = {
    connectionId,
    until: deps.clock() + linkSeconds * 1000,
    digest: digestOf(method, params),
    linkId,
    ...(requestState !== undefined && { requestState }),
    ...(inputResponses !== undefined && { inputResponses }),
  }
  const text = stringifyExactJson(state)
  return text.length > mostKept ? undefined : prefix + deps.keys.seal(text, context)
}

/**
 * Takes what is ours out of a retry, so that the runtime gets what it would have got without us: its own state and the answers to its own questions (EL-11).
 *
 * @returns undefined for a request that has nothing of ours
 * @throws GatewayError `request_state_invalid` for a state that begins as ours and is not good here (EL-10)
 */
export function takeReply(deps: StateDeps, connectionId: string, body: ReadBody): Reply | undefined {
  const [message] = body.messages
  const given = member(message?.params, 'requestState')
  const response = member(member(message?.params, 'inputResponses'), reconnectKey)
  const isOurs = typeof given === 'string' && given.startsWith(prefix)
  if (!message || (response === undefined && !isOurs)) return undefined
  const whole = exactly(body)
  const state = isOurs ? openState(deps, given, { connectionId, digest: digestOf(whole.method, whole.params) }) : undefined
  clean(whole.params, state)
  body.raw = Buffer.from(stringifyExactJson(whole))
  message.params = (JSON.parse(body.raw.toString('utf8')) as { params: Json }).params
  const action = member(response, 'action')
  return { action: action === 'decline' || action === 'cancel' ? action : 'accept', linkId: state?.linkId }
}

function openState({ keys, clock }: StateDeps, text: string, expected: Pick<State, 'connectionId' | 'digest'>): State {
  const refuse = (reason: string): never => {
    throw new GatewayError('request_state_invalid', { reason: `requestState ${reason}` })
  }
  const opened = keys.open(text.slice(prefix.length), context) ?? refuse('was changed, or is not of this gateway')
  const state = parseExactJson(opened) as State
  if (state.connectionId !== expected.connectionId) refuse('is of another connection')
  if (state.digest !== expected.digest) refuse('is of another request')
  if (clock() >= state.until) refuse('is too old')
  return state
}

/* The request with its numbers to the digit. It is one, not a batch: modern revisions have none. */
function exactly({ raw }: ReadBody): { method: string; params: { [name: string]: Json } } {
  return parseExactJson(raw.toString('utf8')) as { method: string; params: { [name: string]: Json } }
}

/* The members that a retry adds are the runtime's again, or gone. */
function clean(params: { [name: string]: Json }, state: State | undefined): void {
  const { [reconnectKey]: _ours, ...given } = isObject(params.inputResponses) ? params.inputResponses : {}
  const kept = isObject(state?.inputResponses) ? state.inputResponses : {}
  const responses = { ...kept, ...given }
  delete params.inputResponses
  if (Object.keys(responses).length > 0) params.inputResponses = responses
  if (!state) return
  delete params.requestState
  if (state.requestState !== undefined) params.requestState = state.requestState
}

/* Of what is asked, without what a retry adds and what each request has anew, whatever the order of its members. */
function digestOf(method: string, params: { [name: string]: Json }): string {
  const { _meta, inputResponses, requestState, ...asked } = params
  return createHash('sha256')
    .update(JSON.stringify([method, sorted(asked)]))
    .digest('base64url')
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name): [string, Json] => [name, sorted(value[name] as Json)]),
  )
}
