import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exportJWK } from 'jose'
import * as oauth from 'oauth4webapi'
import { Browser } from '../harness/browser.ts'
import { nativeRedirectUri } from '../harness/oauth-provider.ts'
import { preregistered, startTodo, type TodoWorld } from '../harness/todo.ts'

/*
 * A strict client that is nobody's friend: oauth4webapi checks every answer to the letter of its RFC and throws at the first deviation. Each step here has to pass as it stands.
 */

const options = { [oauth.allowInsecureRequests]: true }
const robotKeys = await oauth.generateKeyPair('ES256', { extractable: true })
const robotJwk = { ...(await exportJWK(robotKeys.publicKey)), kid: 'of-the-robot' }
const inspector = { clientId: 'inspector', clientSecret: 'secret-of-the-inspector', name: 'Inspector', introspect: true }
const service = { clientId: 'nightly', clientSecret: 'secret-of-the-nightly-job', name: 'Nightly job', service: true }
const robot = { clientId: 'robot', jwks: { keys: [robotJwk] }, redirectUris: [nativeRedirectUri], name: 'Robot', service: true }
const signingKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })

let world: TodoWorld
let as: oauth.AuthorizationServer
beforeAll(async () => {
  world = await startTodo({
    runtime: 'local',
    servers: { open: { path: '/open', workerSecret: 'x'.repeat(40), name: 'Open', scopes: ['todos.read'], grants: 'none' } },
    gateway: {
      tokens: { accessTokenFormat: 'jwt', signingKeys: [signingKey] },
      clients: { preregistered: [...Object.values(preregistered), inspector, service, robot], registration: {}, metadataDocuments: false },
    },
  })
}, 60_000)
afterAll(() => world?.close())

/** From the MCP server's URL alone to the authorization server (RFC 9728, RFC 8414). */
async function discover(mcpUrl: string): Promise<{ resource: string; as: oauth.AuthorizationServer }> {
  const resource = await oauth.processResourceDiscoveryResponse(new URL(mcpUrl), await oauth.resourceDiscoveryRequest(new URL(mcpUrl), options))
  const issuer = new URL(resource.authorization_servers?.[0] ?? '')
  const found = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' }))
  return { resource: resource.resource, as: found }
}

interface Journey {
  client: oauth.Client
  proof: oauth.ClientAuth
  DPoP?: oauth.DPoPHandle
  parameters?: Record<string, string>
}

/** The code flow as a client walks it: PKCE, state, `iss`, code, tokens. */
async function authorize({ client, proof, DPoP, parameters = {} }: Journey): Promise<oauth.TokenEndpointResponse> {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const url = new URL(as.authorization_endpoint ?? '')
  const all = {
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: nativeRedirectUri,
    scope: 'todos.read todos.write',
    resource: world.mcpUrl,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...parameters,
  }
  for (const [name, value] of Object.entries(all)) url.searchParams.set(name, value)
  const page = await new Browser(nativeRedirectUri).authorize(url, { user: 'ann' })
  const callback = oauth.validateAuthResponse(as, client, page.redirect ?? new URL('about:blank'), state)
  const withDpop = { ...options, ...(DPoP && { DPoP }), additionalParameters: { resource: world.mcpUrl } }
  const answer = await oauth.authorizationCodeGrantRequest(as, client, proof, callback, nativeRedirectUri, verifier, withDpop)
  return oauth.processAuthorizationCodeResponse(as, client, answer)
}

const callBody = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } })

/** A tool call by the library's own request for protected resources. */
function call(token: string, url: string, DPoP?: oauth.DPoPHandle): Promise<Response> {
  const headers = new Headers({ 'content-type': 'application/json', accept: 'application/json, text/event-stream' })
  return oauth.protectedResourceRequest(token, 'POST', new URL(url), headers, callBody, { ...options, ...(DPoP && { DPoP }) })
}

async function introspect(token: string): Promise<oauth.IntrospectionResponse> {
  const client = { client_id: inspector.clientId }
  const answer = await oauth.introspectionRequest(as, client, oauth.ClientSecretBasic(inspector.clientSecret), token, options)
  return oauth.processIntrospectionResponse(as, client, answer)
}

describe('oauth4webapi, no step refused', () => {
  it('AS-2 AS-4 PR-7: discovery, from the server’s URL on', async () => {
    const found = await discover(world.mcpUrl)
    as = found.as
    expect(found.resource).toBe(world.mcpUrl)
    expect(as.issuer).toBe(world.issuer)
  })

  it('CR-2 TK-1 TK-6 AS-10: registration, code, call, refresh, introspection, revocation', async () => {
    const metadata = { client_name: 'Strict client', redirect_uris: [nativeRedirectUri], token_endpoint_auth_method: 'none', application_type: 'native' }
    const client = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as, metadata, options))
    const proof = oauth.None()
    const first = await authorize({ client, proof })
    expect([first.token_type, first.scope]).toEqual(['bearer', 'todos.read todos.write'])
    expect((await call(first.access_token, world.mcpUrl)).status).toBe(200)
    const answer = await oauth.refreshTokenGrantRequest(as, client, proof, first.refresh_token ?? '', options)
    const second = await oauth.processRefreshTokenResponse(as, client, answer)
    expect(second.refresh_token).not.toBe(first.refresh_token)
    expect(await introspect(second.access_token)).toMatchObject({ active: true, client_id: client.client_id, aud: world.mcpUrl, token_type: 'Bearer' })
    const revoked = await oauth.revocationRequest(as, client, proof, second.refresh_token ?? '', options)
    await oauth.processRevocationResponse(revoked)
    expect(await introspect(second.access_token)).toEqual({ active: false })
  })

  it('CR-2: registration of a confidential client, which then proves itself by its secret', async () => {
    const metadata = { client_name: 'Strict web app', redirect_uris: [nativeRedirectUri], token_endpoint_auth_method: 'client_secret_basic' }
    const client = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as, metadata, options))
    const proof = oauth.ClientSecretBasic(String(client.client_secret))
    const tokens = await authorize({ client, proof })
    const answer = await oauth.refreshTokenGrantRequest(as, client, proof, tokens.refresh_token ?? '', options)
    expect((await oauth.processRefreshTokenResponse(as, client, answer)).access_token).toEqual(expect.any(String))
  })

  it.each([
    ['client_secret_basic', oauth.ClientSecretBasic],
    ['client_secret_post', oauth.ClientSecretPost],
  ])('RFC 6749 §2.3.1: %s', async (_name, method) => {
    const client = { client_id: preregistered.confidential.clientId }
    const tokens = await authorize({ client, proof: method(preregistered.confidential.clientSecret) })
    expect((await call(tokens.access_token, world.mcpUrl)).status).toBe(200)
  })

  it('TK-13 EX-4: private_key_jwt at the token and revocation endpoints, each assertion once', async () => {
    const client = { client_id: robot.clientId }
    const proof = oauth.PrivateKeyJwt({ key: robotKeys.privateKey, kid: 'of-the-robot' })
    const tokens = await authorize({ client, proof })
    const answer = await oauth.refreshTokenGrantRequest(as, client, proof, tokens.refresh_token ?? '', options)
    const next = await oauth.processRefreshTokenResponse(as, client, answer)
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, proof, next.access_token, options))
    expect(await introspect(next.access_token)).toEqual({ active: false })
  })

  it.each([
    ['a secret', service.clientId, oauth.ClientSecretBasic(service.clientSecret)],
    ['a key', robot.clientId, oauth.PrivateKeyJwt({ key: robotKeys.privateKey, kid: 'of-the-robot' })],
  ])('EX-4: client_credentials by %s', async (_name, clientId, proof) => {
    const client = { client_id: clientId }
    const parameters = { resource: `${world.issuer}/open`, scope: 'todos.read' }
    const answer = await oauth.clientCredentialsGrantRequest(as, client, proof, parameters, options)
    const tokens = await oauth.processClientCredentialsResponse(as, client, answer)
    expect(tokens.refresh_token).toBeUndefined()
    expect(await introspect(tokens.access_token)).toMatchObject({ active: true, sub: clientId, aud: `${world.issuer}/open`, scope: 'todos.read' })
  })

  it('RFC 9126, RFC 9449 §10.1: a pushed request of a client with a key, whose proof there binds its code', async () => {
    const client = { client_id: robot.clientId }
    const proof = oauth.PrivateKeyJwt({ key: robotKeys.privateKey, kid: robotJwk.kid })
    const DPoP = oauth.DPoP({}, await oauth.generateKeyPair('ES256'))
    const verifier = oauth.generateRandomCodeVerifier()
    const state = oauth.generateRandomState()
    const parameters = {
      response_type: 'code',
      redirect_uri: nativeRedirectUri,
      scope: 'todos.read',
      resource: world.mcpUrl,
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    }
    const pushed = await oauth.pushedAuthorizationRequest(as, client, proof, parameters, { ...options, DPoP })
    const { request_uri, expires_in } = await oauth.processPushedAuthorizationResponse(as, client, pushed)
    expect(expires_in).toBe(120)
    const url = new URL(as.authorization_endpoint ?? '')
    for (const [name, value] of Object.entries({ client_id: client.client_id, request_uri })) url.searchParams.set(name, value)
    const page = await new Browser(nativeRedirectUri).authorize(url, { user: 'ann' })
    const callback = oauth.validateAuthResponse(as, client, page.redirect ?? new URL('about:blank'), state)
    const redeem = (key?: oauth.DPoPHandle) =>
      oauth.authorizationCodeGrantRequest(as, client, proof, callback, nativeRedirectUri, verifier, { ...options, ...(key && { DPoP: key }) })
    // Without the key the code is worth nothing, and is not used up by the attempt.
    await expect(oauth.processAuthorizationCodeResponse(as, client, await redeem())).rejects.toThrow()
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, await redeem(DPoP))
    expect([tokens.token_type, tokens.scope]).toEqual(['dpop', 'todos.read'])
    expect((await call(tokens.access_token, world.mcpUrl, DPoP)).status).toBe(200)
  })

  it('RFC 9449, EX-14: DPoP through code with dpop_jkt, call, refresh and client_credentials', async () => {
    const client = { client_id: preregistered.public.clientId }
    const keys = await oauth.generateKeyPair('ES256')
    const DPoP = oauth.DPoP({}, keys)
    const tokens = await authorize({ client, proof: oauth.None(), DPoP, parameters: { dpop_jkt: await DPoP.calculateThumbprint() } })
    expect(tokens.token_type).toBe('dpop')
    expect((await call(tokens.access_token, world.mcpUrl, DPoP)).status).toBe(200)
    const stolen = await call(tokens.access_token, world.mcpUrl).catch((error: unknown) => error)
    expect(stolen).toBeInstanceOf(oauth.WWWAuthenticateChallengeError)
    const challenges = (stolen as oauth.WWWAuthenticateChallengeError).cause
    expect(challenges.map(({ scheme, parameters }) => [scheme, parameters.error])).toEqual([
      ['bearer', 'invalid_token'],
      ['dpop', 'invalid_token'],
    ])
    const refreshed = await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token ?? '', { ...options, DPoP })
    const next = await oauth.processRefreshTokenResponse(as, client, refreshed)
    expect((await call(next.access_token, world.mcpUrl, DPoP)).status).toBe(200)
    expect(await introspect(next.access_token)).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt: await DPoP.calculateThumbprint() } })
    const nightly = { client_id: service.clientId }
    const asked = { resource: `${world.issuer}/open` }
    const direct = oauth.clientCredentialsGrantRequest(as, nightly, oauth.ClientSecretBasic(service.clientSecret), asked, { ...options, DPoP })
    expect((await oauth.processClientCredentialsResponse(as, nightly, await direct)).token_type).toBe('dpop')
  })

  it('RFC 9068 §4: a service of the team verifies access tokens by itself, bound ones with their proof', async () => {
    const client = { client_id: preregistered.public.clientId }
    const DPoP = oauth.DPoP({}, await oauth.generateKeyPair('ES256'))
    const bearer = await authorize({ client, proof: oauth.None() })
    const headers = { authorization: `Bearer ${bearer.access_token}` }
    const claims = await oauth.validateJwtAccessToken(as, new Request(world.mcpUrl, { headers }), world.mcpUrl, options)
    expect(claims).toMatchObject({ client_id: client.client_id, scope: 'todos.read todos.write', sub: `${world.authorizationServerUrl}|ann` })
    const bound = await authorize({ client, proof: oauth.None(), DPoP })
    const seen: Request[] = []
    const noted = (url: string, init: RequestInit) => {
      seen.push(new Request(url, init))
      return fetch(url, init)
    }
    await oauth.protectedResourceRequest(bound.access_token, 'POST', new URL(world.mcpUrl), new Headers({ 'content-type': 'application/json' }), callBody, {
      ...options,
      DPoP,
      [oauth.customFetch]: noted as never,
    })
    const proved = await oauth.validateJwtAccessToken(as, seen[0] as Request, world.mcpUrl, { ...options, requireDPoP: true })
    expect(proved.cnf?.jkt).toBe(await DPoP.calculateThumbprint())
  })
})
