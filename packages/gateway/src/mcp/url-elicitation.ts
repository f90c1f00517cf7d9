import type { IncomingHttpHeaders } from 'node:http'
import type { Json } from '../lib/json.ts'
import type { Call } from './call.ts'
import { isObject, member } from './envelope.ts'
import { revisionText } from './mirrored-headers.ts'
import { metaNames } from './revision.ts'
import type { LegacySession } from './session.ts'

/**
 * How a client that declared URL elicitation is asked to let its user open a link. `result`: by `input_required` (EL-1); `error`: by `-32042` (EL-3); `words`: its method can have
 * neither, so the link stands in the words of an error.
 */
export type Asking = 'result' | 'error' | 'words'

/** The one legacy revision with URL elicitation (EL-3, EL-4). */
const legacyRevision = '2025-11-25'
/** No other method may be answered by `input_required` (EL-1). */
const askable = ['tools/call', 'prompts/get', 'resources/read']

/** Whether capabilities name URL elicitation; a bare `elicitation: {}` means forms only (EL-2). */
export function declaresUrl(capabilities: Json | undefined): boolean {
  return isObject(member(member(capabilities, 'elicitation'), 'url'))
}

/** What an `initialize` in this call says for the session that it opens (TR-45). */
export function declaredAtInitialize(call: Call): boolean {
  const [message] = call.body?.messages ?? []
  return message?.method === 'initialize' && call.body?.era === 'legacy' && declaresUrl(member(message.params, 'capabilities'))
}

/**
 * How the client of a call can be asked. In a modern revision each request says for itself what its client can (JR-16, TR-17); in 2025-11-25 the session's `initialize` said it.
 *
 * @returns undefined for a client that did not declare it, or whose revision has none of it
 */
export function askingOf(call: Call, headers: IncomingHttpHeaders, session: LegacySession | undefined): Asking | undefined {
  const { body } = call
  const [message] = body?.messages ?? []
  if (body?.era === 'modern') {
    // A notification says nothing of capabilities, and no connection shall end for that.
    if (message?.kind !== 'request') return 'words'
    if (!declaresUrl(member(member(message.params, '_meta'), metaNames.clientCapabilities))) return undefined
    return askable.includes(message.method ?? '') ? 'result' : 'words'
  }
  if (message?.method === 'initialize') return declaredAtInitialize(call) && body?.revision === legacyRevision ? 'error' : undefined
  return session?.mark !== undefined && !body?.batch && revisionText(headers) === legacyRevision ? 'error' : undefined
}
