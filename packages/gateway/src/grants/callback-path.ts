import type { Config } from '../config.ts'

/**
 * The path that one provider sends browsers back to. Each of several has its own, so that the place of an answer says whose it is, also for providers that send no `iss`: otherwise one
 * of them could have the code of another brought to its own token endpoint (RFC 9700 §2.1 and §4.4.2: distinct redirect URIs against mix-up, AZ-17).
 *
 * @param providerId key in `config.providers`; the first one, mostly the only one, has the plain path, which stays as it is when others join it
 */
export function callbackPath({ endpoints, providers }: Pick<Config, 'endpoints' | 'providers'>, providerId: string): string {
  return providerId === Object.keys(providers)[0] ? endpoints.callback : `${endpoints.callback}/${providerId}`
}
