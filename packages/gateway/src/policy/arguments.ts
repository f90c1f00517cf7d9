import { globMatches } from '../lib/glob.ts'
import type { Json } from '../lib/json.ts'
import type { ArgumentTest } from '../rules.ts'

/** What a test says of one call: `unclear` when it cannot be compared. The caller of a test decides against whom that counts. */
export type Answer = boolean | 'unclear'

/** Joins by and: a plain no decides, then a doubt. */
export function all(answers: Iterable<Answer>): Answer {
  let joined: Answer = true
  for (const answer of answers) {
    if (answer === false) return false
    if (answer === 'unclear') joined = 'unclear'
  }
  return joined
}

/** The value at a JSON pointer (RFC 6901), or undefined when there is none. Own members only, so no inherited name is ever found. */
export function atPointer(document: Json | undefined, pointer: string): Json | undefined {
  if (pointer === '') return document
  if (!pointer.startsWith('/')) throw new Error(`${pointer} is no JSON pointer`)
  let value = document
  for (const escaped of pointer.slice(1).split('/')) {
    const name = escaped.replaceAll('~1', '/').replaceAll('~0', '~')
    if (Array.isArray(value)) value = /^(0|[1-9]\d*)$/.test(name) ? value[Number(name)] : undefined
    else if (typeof value === 'object' && value !== null) value = Object.hasOwn(value, name) ? value[name] : undefined
    else return undefined
  }
  return value
}

/** Equality of JSON values: members in any order, array items in theirs. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, index) => sameJson(item, b[index]))
  }
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && sameJson(a[name], b[name]))
}

function compare(value: Json | undefined, holds: (value: number) => boolean): Answer {
  if (value === undefined) return false
  return typeof value === 'number' ? holds(value) : 'unclear'
}

/* A row an operator: (what stands in the call, what stands in the rule) → answer. Types of the rule's side are checked again, since a rule may come from code. */
const operators: Record<keyof ArgumentTest, (value: Json | undefined, given: unknown) => Answer> = {
  eq: (value, given) => value !== undefined && sameJson(value, given as Json),
  in: (value, given) => value !== undefined && (given as Json[]).some((one) => sameJson(value, one)),
  lt: (value, given) => compare(value, (number) => number < asNumber(given)),
  lte: (value, given) => compare(value, (number) => number <= asNumber(given)),
  gt: (value, given) => compare(value, (number) => number > asNumber(given)),
  gte: (value, given) => compare(value, (number) => number >= asNumber(given)),
  matches: (value, given) => (value === undefined ? false : typeof value === 'string' ? globMatches(given as string, value) : 'unclear'),
  exists: (value, given) => (value !== undefined) === given,
}

function asNumber(given: unknown): number {
  if (typeof given !== 'number' || Number.isNaN(given)) throw new Error('a bound that is no number')
  return given
}

/**
 * Tests one argument.
 *
 * @throws Error for an operator that does not exist or an operand of a wrong type: an error in a rule is a deny
 */
export function testArgument(value: Json | undefined, test: ArgumentTest): Answer {
  return all(
    Object.entries(test).map(([name, given]) => {
      if (!Object.hasOwn(operators, name)) throw new Error(`${name} is no operator`)
      return operators[name as keyof ArgumentTest](value, given)
    }),
  )
}
