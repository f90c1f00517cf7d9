import type { Config } from '../config.ts'
import { GatewayError } from '../errors/errors.ts'
import type { Json } from '../lib/json.ts'
import { parseExactJson, stringifyExactJson } from '../lib/strict-json.ts'
import type { Call } from './call.ts'
import { type Edge, notesOf } from './edge.ts'
import { isObject, member } from './envelope.ts'
import { refusalMessage } from './refuse.ts'
import { isModern, knownRevisions } from './revision.ts'

/** Extensions that are about authorization, and so the gateway's to announce: no runtime behind it has any (EX-2). */
const ours = {
  'io.modelcontextprotocol/oauth-client-credentials': ({ clients }: Config) => clients.preregistered.some(({ service }) => service),
  'io.modelcontextprotocol/enterprise-managed-authorization': ({ enterprise }: Config) => Object.keys(enterprise).length > 0,
}

/**
 * What a runtime announces in `server/discover`, brought to what holds in public: of its versions those whose rules are enforced here (TR-20), of its extensions all but those
 * about authorization, and the gateway's own (EX-2).
 *
 * @param text one JSON-RPC message
 * @returns undefined when it can go out as it came
 */
export function announced(edge: Edge, text: string): string | undefined {
  const message = parse(text)
  const result = member(message, 'result')
  if (!isObject(result)) return undefined
  const changes = [keepKnownVersions(result), mergeExtensions(edge.deps.config, result)]
  return changes.includes(true) ? stringifyExactJson(message) : undefined
}

/** The same for a result that was kept. */
export function announcedResult(edge: Edge, result: Json): Json {
  const text = announced(edge, JSON.stringify({ result }))
  return text === undefined ? result : (JSON.parse(text) as { result: Json }).result
}

/**
 * Holds the version that a runtime agrees to in `initialize`: none without an `initialize` can come of one, and what would be refused in the next request is not announced (TR-20).
 *
 * @returns an error in the place of such an answer; undefined for any other
 */
export function agreed(call: Call, text: string): string | undefined {
  const message = parse(text)
  const version = member(member(message, 'result'), 'protocolVersion')
  if (typeof version !== 'string' || !isModern(version)) return undefined
  const owed = notesOf(call).owed.find(({ id }) => id === member(message, 'id'))
  return JSON.stringify(refusalMessage(call, owed, new GatewayError('runtime_invalid', { reason: `it agreed to ${version} in initialize` })))
}

function keepKnownVersions(result: { [name: string]: Json }): boolean {
  const { supportedVersions } = result
  if (!Array.isArray(supportedVersions)) return false
  const known = supportedVersions.filter((version) => typeof version === 'string' && knownRevisions.includes(version))
  result.supportedVersions = known
  return known.length < supportedVersions.length
}

function mergeExtensions(config: Config, result: { [name: string]: Json }): boolean {
  const capabilities = isObject(result.capabilities) ? result.capabilities : {}
  const given = isObject(capabilities.extensions) ? capabilities.extensions : {}
  const theirs = Object.entries(given).filter(([name]) => !Object.hasOwn(ours, name))
  const added = Object.entries(ours).filter(([, isOn]) => isOn(config))
  const isChanged = theirs.length < Object.keys(given).length || added.length > 0
  if (isChanged) result.capabilities = { ...capabilities, extensions: Object.fromEntries([...theirs, ...added.map(([name]): [string, Json] => [name, {}])]) }
  return isChanged
}

function parse(text: string): Json | undefined {
  try {
    return parseExactJson(text) as Json
  } catch {
    // What is no JSON to us is none to the client either.
    return undefined
  }
}
