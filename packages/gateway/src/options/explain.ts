import { z } from 'zod'
import { ConfigError } from '../errors/errors.ts'

/** What a secret that is undefined is told. */
export const missing = 'is not set; does the environment variable that it comes from exist?'

/** Turns what zod found into one error that names the option and says what to change. Values never appear in it, since they may be secrets. */
export function explain(error: z.ZodError, root: string): ConfigError {
  // A misspelt option is also a missing one; the spelling is what helps.
  const issue = (error.issues.find(({ code }) => code === 'unrecognized_keys') ?? error.issues[0]) as z.core.$ZodIssue
  const { path, message } = deepest(issue)
  return new ConfigError(optionPath(root, path), message)
}

/** A path as one writes it: `servers.todo.policy.rules[0]`. */
export function optionPath(root: string, path: readonly PropertyKey[]): string {
  let written = root
  for (const part of path) {
    if (typeof part === 'number') written += `[${part}]`
    else written += `${written === '' ? '' : '.'}${String(part)}`
  }
  return written === '' ? 'options' : written
}

function deepest(issue: z.core.$ZodIssue): { path: PropertyKey[]; message: string } {
  if (issue.code !== 'invalid_union') return { path: issue.path, message: wordsOf(issue) }
  // Of several shapes the one that fits best says most: a wrong member inside, rather than the wrong shape as a whole.
  const inner = issue.errors.flatMap((branch) => (branch[0] ? [deepest(branch[0])] : [])).toSorted((a, b) => b.path.length - a.path.length)
  const best = inner[0]
  if (best && best.path.length > 0) return { path: [...issue.path, ...best.path], message: best.message }
  const telling = issue.errors.flat().find((one) => one.code === 'unrecognized_keys' || one.message === missing)
  const message = telling?.message ?? inner.map((one) => one.message).join(', or ')
  return { path: issue.path, message: message || 'is not valid' }
}

function wordsOf(issue: z.core.$ZodIssue): string {
  // Words of our own, from checks.ts, are better than any made of the code.
  if (!/^(Invalid|Too (big|small))/.test(issue.message)) return issue.message
  if (issue.code === 'invalid_type') return typeWords(issue)
  if (issue.code === 'invalid_key') return issue.issues[0] ? wordsOf(issue.issues[0]) : issue.message
  if (issue.code === 'invalid_value') return `must be ${issue.values.map((value) => (typeof value === 'string' ? `'${value}'` : String(value))).join(' or ')}`
  if (issue.code === 'too_small') return `must ${bound(issue.origin, 'at least', Number(issue.minimum))}`
  if (issue.code === 'too_big') return `must ${bound(issue.origin, 'at most', Number(issue.maximum))}`
  return issue.message
}

function typeWords(issue: z.core.$ZodIssueInvalidType): string {
  const expected = (
    {
      int: 'a whole number',
      number: 'a number',
      string: 'a text',
      array: 'a list',
      boolean: 'true or false',
      record: 'an object',
      object: 'an object',
    } as Record<string, string>
  )[issue.expected]
  return `must be ${expected ?? issue.expected}${/received undefined/.test(issue.message) ? ', and is missing' : ''}`
}

function bound(origin: string, words: string, count: number): string {
  if (origin === 'string') return `have ${words} ${count} characters`
  if (origin === 'array') return `have ${words} ${count} ${count === 1 ? 'entry' : 'entries'}`
  return `be ${words} ${count}`
}

/** An object of which every member is known. Others are refused with the spelling that was probably meant. */
export function shape<T extends z.core.$ZodLooseShape>(members: T): z.ZodObject<T, z.core.$strict> {
  const known = Object.keys(members)
  return z.strictObject(members, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? unknownWords((issue as { keys?: string[] }).keys ?? [], known) : undefined),
  })
}

function unknownWords(keys: readonly string[], known: readonly string[]): string {
  const key = keys[0] ?? ''
  const meant = closest(key, known)
  const hint = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean '${meant}'?`
  return `'${key}' is no option here; ${hint}`
}

/** The known word that a wrong one was probably meant to be. */
export function closest(word: string, known: readonly string[]): string | undefined {
  const lower = word.toLowerCase()
  const ranked = known.map((candidate) => ({ candidate, distance: distanceOf(lower, candidate.toLowerCase()) })).toSorted((a, b) => a.distance - b.distance)
  const best = ranked[0]
  if (!best) return undefined
  const prefix = known.find((candidate) => lower.length >= 4 && (candidate.toLowerCase().startsWith(lower) || lower.startsWith(candidate.toLowerCase())))
  return best.distance <= Math.max(1, Math.floor(word.length / 3)) ? best.candidate : prefix
}

/* Edits between two words; two neighbours in the wrong order count as one (optimal string alignment). */
function distanceOf(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= a.length; row++) {
    const line = [row]
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1
      let best = Math.min((rows[row - 1]?.[column] ?? 0) + 1, (line[column - 1] ?? 0) + 1, (rows[row - 1]?.[column - 1] ?? 0) + cost)
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) best = Math.min(best, (rows[row - 2]?.[column - 2] ?? 0) + 1)
      line.push(best)
    }
    rows.push(line)
  }
  return rows[a.length]?.[b.length] ?? 0
}
