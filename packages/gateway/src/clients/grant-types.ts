import type { Config } from '../config.ts'

/** Grant type of an assertion (RFC 7523 §2.1, EX-7). */
export const jwtBearerGrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

/** Profile of enterprise-managed authorization (EX-11). */
export const idJagProfile = 'urn:ietf:params:oauth:grant-profile:id-jag'

/** A grant type of the token endpoint. */
export type OfferedGrantType = 'authorization_code' | 'refresh_token' | 'client_credentials' | typeof jwtBearerGrant

/** The grant types that this gateway's options switch on: what the metadata says, and the token endpoint takes (AS-8). */
export function offeredGrantTypes({ clients, enterprise }: Pick<Config, 'clients' | 'enterprise'>): OfferedGrantType[] {
  const offered: OfferedGrantType[] = ['authorization_code', 'refresh_token']
  if (clients.preregistered.some(({ service }) => service)) offered.push('client_credentials')
  if (Object.keys(enterprise).length > 0) offered.push(jwtBearerGrant)
  return offered
}
