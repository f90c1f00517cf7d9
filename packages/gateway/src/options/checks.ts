import { z } from 'zod'
import { isLoopbackHost } from '../lib/loopback.ts'
import { missing } from './explain.ts'

/* Checks of single values. Each message goes on from the option's name: "publicUrl: must be …". */

/** A secret of `length` characters or more that fits into a header and a form. Its value never stands in a message. */
export function secret(length: number) {
  return z
    .string({ error: (issue) => (issue.input === undefined ? missing : 'must be a text') })
    .min(length, `must have at least ${length} characters; \`emcy-gateway keygen\` prints a new one`)
    .regex(/^[\x21-\x7e]*$/, 'must hold only visible ASCII characters, without spaces')
}

/** A non-empty text of one line. */
export const line = z
  .string()
  .min(1, 'must not be empty')
  .max(2000)
  .regex(/^\P{Cc}*$/u, 'must not have control characters')

/** A key that stands in records, logs and URLs. */
export const idPattern = /^[\w-]{1,60}$/

/** RFC 6749 §3.3 scope-token. */
export const scopes = z
  .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/, 'must be a scope: visible ASCII without quotes and backslashes, one in each entry'))
  .refine((list) => new Set(list).size === list.length, 'names a scope twice')

/** A whole number of 1 or more. */
export const count = z.int().min(1).max(Number.MAX_SAFE_INTEGER)

/** Seconds that a timer can wait. */
export const seconds = z.int().min(1).max(2_000_000)

/** A lifetime in seconds, up to ten years. */
export const lifetime = z.int().min(1).max(315_360_000)

/** A function, whatever its type says. */
export function fn<F>() {
  return z.custom<F>((value) => typeof value === 'function', 'must be a function')
}

/** An absolute https URL, or http on a loopback host; no fragment, no user information. */
export const secureUrl = z.string().check((context) => {
  const message = urlProblem(context.value, (url) => url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname)))
  if (message) context.issues.push({ code: 'custom', input: context.value, message })
})

/** An absolute http or https URL; no fragment, no user information. */
export const httpUrl = z.string().check((context) => {
  const message = urlProblem(context.value, (url) => url.protocol === 'https:' || url.protocol === 'http:')
  if (message) context.issues.push({ code: 'custom', input: context.value, message })
})

function urlProblem(given: string, accepted: (url: URL) => boolean): string | undefined {
  const url = URL.parse(given)
  if (!url) return 'must be an absolute URL'
  if (!accepted(url)) return url.protocol === 'http:' ? 'must be an https URL; http only on a loopback host' : 'must be an https URL'
  if (given.includes('#')) return 'must have no fragment'
  if (url.username !== '' || url.password !== '') return 'must have no user name and no password'
  return undefined
}

/** A path of plain segments, with a leading and without a trailing slash. */
export const path = z.string().check((context) => {
  const message = pathProblem(context.value)
  if (message) context.issues.push({ code: 'custom', input: context.value, message })
})

function pathProblem(given: string): string | undefined {
  if (!given.startsWith('/')) return "must start with '/'"
  if (given.endsWith('/')) return "must not end with '/'"
  if (!/^(\/[A-Za-z0-9._~-]+)+$/.test(given)) return 'must consist of segments of letters, digits, `.`, `_`, `~` and `-`'
  if (given.split('/').some((segment) => segment === '.' || segment === '..')) return 'must have no dot segments'
  if (given === '/.well-known' || given.startsWith('/.well-known/')) return 'must not stand below /.well-known'
  return undefined
}

/** The origin of a web page, as browsers send it; `*` for every one. */
export const origin = z
  .string()
  .refine((given) => given === '*' || URL.parse(given)?.origin === given, "must be '*' or an origin as browsers send it, for example 'https://app.example.com'")
