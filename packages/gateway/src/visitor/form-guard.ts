import type { IncomingMessage } from 'node:http'
import type { Deps } from '../deps.ts'

/**
 * Whether a form was sent from a page of our own, as far as the browser says (AZ-8). Our pages send no referrer, and a browser then writes `Origin: null` on
 * their forms too: `null` alone decides nothing, `Sec-Fetch-Site` does where it is there, and the form token decides in any case.
 *
 * @param origin ours
 */
export function isOwnForm(req: IncomingMessage, origin: string): boolean {
  const site = req.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  const from = req.headers.origin
  return from === undefined || from === 'null' || from === origin
}

/**
 * The token of a form, bound to what it decides and to the browser that was shown it.
 *
 * @param purpose which form
 * @param binding what it is about and a secret of the browser; parts are kept apart
 */
export function formToken(deps: Pick<Deps, 'keys'>, purpose: string, ...binding: string[]): string {
  return deps.keys.sign(JSON.stringify(binding), `form ${purpose}`)
}

/** Whether a form token is the one that {@link formToken} gave, in constant time. */
export function isFormToken(deps: Pick<Deps, 'keys'>, token: string | undefined, purpose: string, ...binding: string[]): boolean {
  return token !== undefined && deps.keys.verify(JSON.stringify(binding), `form ${purpose}`, token)
}
