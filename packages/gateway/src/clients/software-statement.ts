import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'
import type { SoftwareStatements } from '../config.ts'
import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { assertionAlgorithms } from './client-assertion.ts'
import { clientKeys } from './client-keys.ts'
import { DocumentUnavailable } from './metadata-document.ts'

// Of the JWT itself, and no metadata of a client.
const ofJwt = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'software_statement']
const skewSeconds = 30

/** What a registration says, once its software statement is taken into account. */
export interface Stated {
  body: unknown
  /** The statement, to be returned unchanged (RFC 7591 §3.2.1). */
  statement: string | undefined
}

/**
 * Puts what a software statement says over what the client says itself (RFC 7591 §2.3, §3.1.1). Where the team trusts nobody's statements they are ignored, as §3.1.1 allows.
 *
 * @throws OAuthError `invalid_software_statement` for what is no valid statement, or none where one is required; `unapproved_software_statement` for that of an issuer that is not
 *   trusted here; `temporarily_unavailable` when its issuer's keys cannot be fetched right now; StoreUnavailable
 */
export async function applyStatement(
  deps: Pick<Deps, 'store' | 'clock' | 'guardedFetch'>,
  trusted: SoftwareStatements | undefined,
  body: unknown,
): Promise<Stated> {
  const given = typeof body === 'object' && body !== null ? (body as Record<string, unknown>).software_statement : undefined
  if (!trusted) return { body, statement: undefined }
  if (given === undefined || given === null) {
    if (trusted.required) throw new OAuthError('invalid_software_statement', 'Registration here needs a software_statement.')
    return { body, statement: undefined }
  }
  if (typeof given !== 'string') throw new OAuthError('invalid_software_statement', 'The software_statement is not a JWT.')
  const claims = await verify(deps, trusted, given)
  const stated = Object.fromEntries(Object.entries(claims).filter(([name]) => !ofJwt.includes(name)))
  return { body: { ...(body as object), ...stated }, statement: given }
}

async function verify(deps: Pick<Deps, 'store' | 'clock' | 'guardedFetch'>, trusted: SoftwareStatements, statement: string): Promise<JWTPayload> {
  const issuer = issuerOf(statement)
  const keys = Object.hasOwn(trusted.issuers, issuer) ? trusted.issuers[issuer] : undefined
  if (!keys) throw new OAuthError('unapproved_software_statement', 'The issuer of the software_statement is not trusted here.')
  try {
    const options = { algorithms: assertionAlgorithms, issuer, currentDate: new Date(deps.clock()), clockTolerance: skewSeconds }
    return (await jwtVerify(statement, clientKeys(deps, keys), options)).payload
  } catch (error) {
    if (error instanceof DocumentUnavailable) {
      throw new OAuthError('temporarily_unavailable', 'The keys of the issuer of the software_statement cannot be fetched right now.', {
        cause: error,
        reason: error.reason ?? '',
        headers: { 'retry-after': '30' },
      })
    }
    const why = error instanceof errors.JOSEError ? error.message : error instanceof OAuthError ? error.description : undefined
    if (why === undefined) throw error
    throw new OAuthError('invalid_software_statement', `The software_statement is refused: ${why}.`, { cause: error })
  }
}

function issuerOf(statement: string): string {
  try {
    const { iss } = decodeJwt(statement)
    // RFC 7591 §2.3: the statement MUST contain an iss.
    if (typeof iss === 'string') return iss
  } catch {
    // Answered below, like a JWT without an issuer.
  }
  throw new OAuthError('invalid_software_statement', 'The software_statement is not a JWT with an iss.')
}
