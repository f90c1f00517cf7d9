import { endOfString } from '../lib/strict-json.ts'

/**
 * The `id` of a JSON-RPC message of which only beginning and end are known: clients write it first or last. Undefined when it stands in neither, or is not a string or
 * an integer.
 *
 * @param tail the very end of the message
 */
export function findId(head: Buffer, tail: Buffer): string | number | undefined {
  return idInHead(head.toString('utf8')) ?? idInTail(tail.toString('utf8'))
}

/* Walks the members of the outermost object; whatever is nested deeper is skipped. */
function idInHead(text: string): string | number | undefined {
  let depth = 0
  let nameComes = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '"') {
      const end = endOfString(text, at)
      if (end < 0) return undefined
      if (depth === 1 && nameComes && text.slice(at + 1, end) === 'id')
        return scalar(/^\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)\s*[,}]/.exec(text.slice(end + 1, end + 600))?.[1])
      at = end
      nameComes = false
    } else if (character === '{' || character === '[') {
      depth++
      nameComes = depth === 1 && character === '{'
    } else if (character === '}' || character === ']') depth--
    else if (character === ',') nameComes = depth === 1
  }
  return undefined
}

/* The brace at the very end closes the outermost object, so scalar members right before it are members of that object. */
function idInTail(text: string): string | number | undefined {
  return scalar(/[,{]\s*"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/.exec(text)?.[1])
}

function scalar(literal: string | undefined): string | number | undefined {
  if (literal === undefined) return undefined
  try {
    const value = JSON.parse(literal) as unknown
    return typeof value === 'string' || Number.isSafeInteger(value) ? (value as string | number) : undefined
  } catch {
    return undefined
  }
}
