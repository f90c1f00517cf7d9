import type { IncomingMessage } from 'node:http'
import { subjectKey } from '../connections/connection.ts'
import type { Deps } from '../deps.ts'
import { accountName } from '../visitor/account-name.ts'
import { rememberedUsers } from '../visitor/identity-cookie.ts'

/** Who looks at the account page. */
export interface AccountUser {
  /** The names this user has: one a provider. */
  subjects: string[]
  names: string[]
  /** All of them in one string, for form tokens. */
  key: string
  /** Whether this browser's cookie named them, which it can forget. */
  byCookie: boolean
}

/**
 * The user as the host app's session names them (`config.identify`), at every provider; otherwise as this browser signed in before.
 *
 * @returns undefined when neither knows anyone
 */
export async function accountUser(deps: Pick<Deps, 'config' | 'keys' | 'clock'>, req: IncomingMessage): Promise<AccountUser | undefined> {
  const { config } = deps
  if (config.identify) {
    const user = await config.identify(req)
    if (!user) return undefined
    const issuers = new Set([config.issuer, ...Object.values(config.providers).map((provider) => provider.issuer)])
    // An identity function of the team's own may name another issuer, which only the sign-in has shown.
    for (const { issuer, sub } of rememberedUsers(deps, req)) if (sub === user.sub) issuers.add(issuer)
    return describe(
      [...issuers].map((issuer) => subjectKey({ issuer, sub: user.sub })),
      [accountName(user)],
      false,
    )
  }
  const users = rememberedUsers(deps, req)
  if (users.length === 0) return undefined
  const names = [...new Set(users.map(accountName))]
  return describe(
    users.map(({ issuer, sub }) => subjectKey({ issuer, sub })),
    names,
    true,
  )
}

function describe(subjects: string[], names: string[], byCookie: boolean): AccountUser {
  return { subjects, names, byCookie, key: JSON.stringify(subjects) }
}
