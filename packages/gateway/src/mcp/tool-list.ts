import type { Json } from '../lib/json.ts'
import { parseExactJson, stringifyExactJson } from '../lib/strict-json.ts'
import { visible } from '../policy/filter-list.ts'
import type { Call } from './call.ts'
import { callerOf, type Edge, notesOf } from './edge.ts'
import { isObject, member } from './envelope.ts'

const maxAnnotated = 5000

/**
 * Takes the tools that this caller may never call out of a `tools/list` result, with the same decision that a call gets (JR-3, JR-8). Order, cursor and everything else
 * stay, numbers to the digit; the result is then for this caller only, so `cacheScope` becomes `private` on every page (JR-9 to JR-11).
 *
 * @param text one JSON-RPC message, or the answers to a batch; what has no list of tools stays as it is, whatever its id says
 * @returns undefined when the text can go out as it came
 */
export function filterToolList(edge: Edge, call: Call, text: string): string | undefined {
  let parsed: Json
  try {
    parsed = parseExactJson(text) as Json
  } catch {
    // What is no JSON to us is none to the client either.
    return undefined
  }
  const changes = (Array.isArray(parsed) ? parsed : [parsed]).map((message) => filterOne(edge, call, message))
  return changes.includes(true) ? stringifyExactJson(parsed) : undefined
}

/* Says whether it changed the message. */
function filterOne(edge: Edge, call: Call, message: Json): boolean {
  const result = member(message, 'result')
  if (!isObject(result) || !Array.isArray(result.tools)) return false
  const caller = callerOf(edge, call)
  const tools = result.tools.filter((tool) => {
    const name = member(tool, 'name')
    if (typeof name !== 'string') return false
    const given = member(tool, 'annotations')
    const annotations = isObject(given) ? given : {}
    remember(edge, name, annotations)
    return visible(edge.server.policies, caller, { name, annotations })
  })
  const isPrivate = result.cacheScope === 'private' || (result.cacheScope === undefined && !notesOf(call).modern)
  if (tools.length === result.tools.length && isPrivate) return false
  result.tools = tools
  if (!isPrivate) result.cacheScope = 'private'
  return true
}

/* Rules on annotations need them when the tool is called, and a call does not carry them. */
function remember({ annotations: known }: Edge, name: string, annotations: Record<string, Json>): void {
  if (known.size >= maxAnnotated && !known.has(name)) known.clear()
  known.set(name, annotations)
}
