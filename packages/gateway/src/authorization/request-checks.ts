import type { Client } from '../clients/client.ts'
import type { Config, ServerConfig } from '../config.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { sameResource } from '../lib/resource.ts'
import type { AuthorizationParams } from './parameters.ts'
import type { ResponseMode } from './pending.ts'
import { scopesToGrant } from './scopes.ts'

/** What an authorization request asks for, once every check has passed. */
export interface CheckedRequest {
  server: ServerConfig
  scopes: string[]
  /** PKCE S256 challenge. */
  challenge: string
  state: string | undefined
  /** Thumbprint of the key that the code is to be bound to (RFC 9449 §10). */
  dpopJkt: string | undefined
  /** The OpenID Connect prompts that mean something here. */
  prompt: 'none' | 'consent' | 'login' | 'select_account' | undefined
  loginHint: string | undefined
}

const longestState = 4096
const longestHint = 256

/**
 * The checks of an authorization request whose client and redirect URI are known to be good, in order. Each failure goes to the client by redirect.
 *
 * @throws OAuthError as RFC 6749 §4.1.2.1 and RFC 8707 §2 name it
 */
export function checkRequest(config: Pick<Config, 'servers' | 'scopeHierarchy'>, client: Client, request: AuthorizationParams): CheckedRequest {
  checkObjects(request)
  checkResponseType(request)
  checkResponseMode(request)
  const challenge = checkPkce(request)
  const state = checkState(request)
  const server = checkResource(config, request)
  const scopes = scopesToGrant(config, client, server, request.params.get('scope'))
  return { server, scopes, challenge, state, dpopJkt: checkDpopJkt(request), prompt: readPrompt(request), loginHint: readLoginHint(request) }
}

function checkResponseType({ params }: AuthorizationParams): void {
  const type = params.get('response_type')
  if (type === undefined) throw new OAuthError('invalid_request', 'The parameter response_type is missing. Use response_type=code.')
  if (type !== 'code') throw new OAuthError('unsupported_response_type', 'Only response_type=code is supported.')
}

/** RFC 9101 §6.3 and OpenID Connect Core §6 name the answers of a server without request objects. */
function checkObjects({ params }: AuthorizationParams): void {
  if (params.get('request') !== undefined) throw new OAuthError('request_not_supported', 'Request objects are not supported.')
  if (params.get('request_uri') !== undefined) throw new OAuthError('request_uri_not_supported', 'Only the request_uri of a pushed request is supported.')
}

function checkResponseMode(request: AuthorizationParams): void {
  const mode = request.params.get('response_mode')
  if (mode !== undefined && mode !== responseModeOf(request))
    throw new OAuthError('invalid_request', `Use one of these response modes: ${responseModes.join(', ')}.`)
}

/** How clients can get their answer (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode). */
export const responseModes = ['query', 'form_post'] as const

/** The response mode that was asked for; `query` for any that is not known, since its error needs a way too. */
export function responseModeOf({ params }: AuthorizationParams): ResponseMode {
  return params.get('response_mode') === 'form_post' ? 'form_post' : 'query'
}

/** RFC 7636; `plain`, which is also the default of a missing method, is refused (TK-1). */
function checkPkce({ params }: AuthorizationParams): string {
  const challenge = params.get('code_challenge')
  if (challenge === undefined) throw new OAuthError('invalid_request', 'The parameter code_challenge is missing. PKCE with S256 is required.')
  if (params.get('code_challenge_method') !== 'S256') throw new OAuthError('invalid_request', 'Only code_challenge_method=S256 is supported.')
  if (!/^[\w-]{43}$/.test(challenge)) throw new OAuthError('invalid_request', 'The code_challenge is not the base64url of a SHA-256 hash.')
  return challenge
}

function checkState({ params }: AuthorizationParams): string | undefined {
  const state = params.get('state')
  if (state !== undefined && Buffer.byteLength(state) > longestState) throw new OAuthError('invalid_request', `The state is longer than ${longestState} bytes.`)
  return state
}

function checkDpopJkt({ params }: AuthorizationParams): string | undefined {
  const jkt = params.get('dpop_jkt')
  if (jkt !== undefined && !/^[\w-]{43}$/.test(jkt)) throw new OAuthError('invalid_request', 'The dpop_jkt is not the base64url of a SHA-256 thumbprint.')
  return jkt
}

/** TK-5: without a `resource` it is the only server, or the first. */
function checkResource(config: Pick<Config, 'servers'>, { resources }: AuthorizationParams): ServerConfig {
  const servers = Object.values(config.servers)
  const [first] = resources
  const server = first === undefined ? servers[0] : servers.find((candidate) => sameResource(first, candidate.resource))
  if (!server) throw new OAuthError('invalid_target', 'The resource is not a server of this gateway.')
  if (!resources.every((resource) => sameResource(resource, server.resource))) {
    throw new OAuthError('invalid_target', 'Ask for one resource at a time.')
  }
  return server
}

/** Some clients send `prompt=consent` with every request: an unknown or odd value is never an error. `none` beside others means nothing (OpenID Connect Core §3.1.2.1). */
function readPrompt({ params }: AuthorizationParams): CheckedRequest['prompt'] {
  const prompts = (params.get('prompt') ?? '').split(' ')
  if (prompts.length === 1 && prompts[0] === 'none') return 'none'
  return (['select_account', 'login', 'consent'] as const).find((prompt) => prompts.includes(prompt))
}

/** A hint is no order: one that is too long to be a name is left out. */
function readLoginHint({ params }: AuthorizationParams): string | undefined {
  const hint = params.get('login_hint')
  return hint !== undefined && hint.length <= longestHint && !/\p{Cc}/u.test(hint) ? hint : undefined
}
