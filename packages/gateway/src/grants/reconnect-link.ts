import type { Deps } from '../deps.ts'

/** How long a link to sign in again can be used. */
export const linkSeconds = 600

/** What a link stands for: it names a connection and the end of its grant, and gives nobody anything. */
export interface ReconnectLink {
  connectionId: string
  /** Version of the grant that is dead; 0: there is no record of it any more. With the next version the link is over, so it counts once. */
  version: number
  /** Id of the call that met the dead grant, as the log has it. */
  requestId: string
  /** Milliseconds since the epoch. */
  until: number
}

const context = 'reconnect-link'
/** Far above any link of ours. */
const longest = 1_000

/**
 * Makes the opaque id of a link. It is sealed, so it can neither be read nor changed, and nothing has to be stored until somebody uses it (EL-7, EL-8).
 *
 * @returns characters of base64url
 */
export function sealLink(deps: Pick<Deps, 'keys' | 'clock'>, link: Omit<ReconnectLink, 'until'>): string {
  return deps.keys.seal(JSON.stringify({ ...link, until: deps.clock() + linkSeconds * 1000 }), context)
}

/** What an id stands for; undefined when it is none of ours, was changed, or is too old. */
export function openLink(deps: Pick<Deps, 'keys' | 'clock'>, id: string | undefined): ReconnectLink | undefined {
  if (id === undefined || id.length > longest) return undefined
  const opened = deps.keys.open(id, context)
  const link = opened === undefined ? undefined : (JSON.parse(opened) as ReconnectLink)
  return link && deps.clock() < link.until ? link : undefined
}

/** Where a link leads: a page of ours, and never straight to the provider (EL-7). */
export function linkUrl({ issuer, endpoints }: Deps['config'], id: string): string {
  return `${issuer}${endpoints.reconnect}?link=${id}`
}
