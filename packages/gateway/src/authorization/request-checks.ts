import type { Client } from '../clients/client.ts'
import type { Config, ServerConfig } from '../config.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { sameResource } from '../lib/resource.ts'
import type { AuthorizationParams } from './parameters.ts'
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
}

const longestState = 4096

/**
 * The checks of an authorization request whose client and redirect URI are known to be good, in order. Each failure goes to the client by redirect.
 *
 * @throws OAuthError as RFC 6749 §4.1.2.1 and RFC 8707 §2 name it
 */
export function checkRequest(config: Pick<Config, 'servers' | 'scopeHierarchy'>, client: Client, request: AuthorizationParams): CheckedRequest {
  checkResponseType(request)
  checkResponseMode(request)
  const challenge = checkPkce(request)
  const state = checkState(request)
  const server = checkResource(config, request)
  const scopes = scopesToGrant(config, client, server, request.params.get('scope'))
  return { server, scopes, challenge, state, dpopJkt: checkDpopJkt(request), prompt: readPrompt(request) }
}

function checkResponseType({ params }: AuthorizationParams): void {
  const type = params.get('response_type')
  if (type === undefined) throw new OAuthError('invalid_request', 'The parameter response_type is missing. Use response_type=code.')
  if (type !== 'code') throw new OAuthError('unsupported_response_type', 'Only response_type=code is supported.')
}

function checkResponseMode({ params }: AuthorizationParams): void {
  const mode = params.get('response_mode')
  if (mode !== undefined && mode !== 'query') throw new OAuthError('invalid_request', 'Only response_mode=query is supported.')
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
  if (state !== undefined && state.length > longestState) throw new OAuthError('invalid_request', `The state is longer than ${longestState} characters.`)
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
