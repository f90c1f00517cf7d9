import type { IncomingMessage } from 'node:http'
import type { Identity, ServerConfig } from '../config.ts'
import { subjectKey } from '../connections/connection.ts'
import type { Deps } from '../deps.ts'
import { rememberedUsers } from '../visitor/identity-cookie.ts'

/** Who is expected to sign in, before the provider has said anything. */
export interface ExpectedUser {
  subject: string
  sub: string
  name: string | undefined
  /** `host`: the host app's own session; `cookie`: who signed in with this browser last time. */
  source: 'host' | 'cookie'
}

/**
 * The user that the host app (`config.identify`) or else this browser's cookie names for a server. A name to look up an approval by (AZ-6) and to hold the sign-in
 * against; the provider's answer decides.
 */
export async function expectedUser(
  deps: Pick<Deps, 'config' | 'keys' | 'clock'>,
  req: IncomingMessage,
  server: ServerConfig,
): Promise<ExpectedUser | undefined> {
  const { config } = deps
  const provider = server.provider === undefined ? undefined : config.providers[server.provider]
  if (config.identify) {
    const user = await config.identify(req)
    if (!user) return undefined
    return { subject: subjectKey(identityOf(provider?.issuer ?? config.issuer, user)), sub: user.sub, name: user.name, source: 'host' }
  }
  const remembered = provider && rememberedUsers(deps, req).find((user) => user.provider === provider.id)
  return remembered && { subject: subjectKey(identityOf(remembered.issuer, remembered)), sub: remembered.sub, name: remembered.name, source: 'cookie' }
}

/** The identity of a user at a server without a provider: the host app is the issuer then, under our name. */
export function hostIdentity(issuer: string, user: ExpectedUser): Identity {
  return identityOf(issuer, user)
}

function identityOf(issuer: string, user: { sub: string; name?: string | undefined }): Identity {
  return { issuer, sub: user.sub, ...(user.name === undefined ? {} : { name: user.name }), claims: {} }
}
