/** The one string that names a user in keys, policies and logs: issuer and `sub`. An issuer holds no `|` (RFC 3986), so two users never share one. */
export function subjectKey(identity: { issuer: string; sub: string }): string {
  return `${identity.issuer}|${identity.sub}`
}
