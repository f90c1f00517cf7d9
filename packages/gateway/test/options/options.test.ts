import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { ConfigError } from '../../src/errors/errors.ts'
import type { GatewayOptions } from '../../src/options/gateway-options.ts'
import { parseOptions } from '../../src/options/options.ts'

const secret = 'a-secret-of-more-than-32-characters'
const workerSecret = 'worker-secret-of-16'

/* Options of a small gateway; tests replace parts of it, wrong types included, as a JavaScript user would. */
function options(over: Record<string, unknown> = {}, server: Record<string, unknown> = {}, provider: Record<string, unknown> = {}): GatewayOptions {
  return {
    publicUrl: 'https://mcp.example.com',
    downstream: {
      issuer: 'https://login.example.com',
      clientId: 'emcy',
      clientSecret: 'downstream-secret',
      scopes: ['openid', 'todos.read', 'todos.write'],
      ...provider,
    },
    servers: { todo: { path: '/mcp', runtime: 'http://127.0.0.1:8000/mcp', workerSecret, ...server } },
    secrets: [secret],
    ...over,
  } as unknown as GatewayOptions
}

function errorOf(given: GatewayOptions): { option: string; message: string } {
  try {
    parseOptions(given)
  } catch (error) {
    if (error instanceof ConfigError) return { option: error.option, message: error.message }
    throw error
  }
  throw new Error('the options were accepted')
}

describe('defaults', () => {
  it('fills in everything and freezes it', () => {
    const { config, warnings, replicas, store } = parseOptions(options({ store: 'sqlite:./x.db' }))
    expect(config).toMatchObject({
      issuer: 'https://mcp.example.com',
      origin: 'https://mcp.example.com',
      basePath: '',
      loopback: false,
      endpoints: {
        authorize: '/authorize',
        consent: '/consent',
        callback: '/callback',
        token: '/token',
        register: '/register',
        revoke: '/revoke',
        introspect: '/introspect',
        jwks: '/jwks',
        par: '/par',
        clientLogo: '/client-logo',
        account: '/account',
        reconnect: '/reconnect',
      },
      clients: {
        preregistered: [],
        metadataDocuments: { allow: [], ask: [], deny: [], dangerouslyAllowPrivateAddresses: false },
        registration: {
          initialAccessToken: undefined,
          unusedExpirySeconds: 2_592_000,
          perSourcePerHour: 1000,
          maxClients: 100_000,
          softwareStatements: undefined,
        },
        pushedRequests: 'offered',
      },
      consent: { remember: true, name: 'mcp.example.com', logo: undefined, colours: {}, texts: {}, chooseScopes: true, render: undefined },
      enterprise: {},
      scopeHierarchy: {},
      tokens: {
        accessTokenSeconds: 3600,
        refreshTokenSeconds: 2_592_000,
        codeSeconds: 60,
        refreshGraceSeconds: 60,
        accessTokenFormat: 'opaque',
        signingKeys: [],
      },
      limits: {
        bodyBytes: 4_194_304,
        jsonDepth: 64,
        responseStartSeconds: 60,
        streamsPerConnection: 100,
        responseBytes: 16_777_216,
        oauthBodyBytes: 65_536,
        bodySeconds: 30,
        storeSeconds: 1,
      },
      onMismatch: 'block',
    })
    expect(config.servers.todo).toEqual({
      id: 'todo',
      displayName: 'todo',
      path: '/mcp',
      resource: 'https://mcp.example.com/mcp',
      runtime: { kind: 'http', urls: ['http://127.0.0.1:8000/mcp'] },
      workerSecrets: [workerSecret],
      scopes: ['todos.read', 'todos.write'],
      provider: 'default',
      grants: 'own',
      requiredScopes: [],
      serviceGrant: undefined,
      headers: {
        workerSecret: 'x-emcy-worker-secret',
        accessToken: 'x-emcy-access-token',
        subject: 'x-emcy-subject',
        clientId: 'x-emcy-client-id',
        scopes: 'x-emcy-scopes',
        requestId: 'x-emcy-request-id',
      },
      policies: [],
      budgets: [],
      origins: [],
      refusals: 'agent',
    })
    expect(config.providers.default).toMatchObject({ id: 'default', identity: 'id_token', refreshAheadSeconds: 60, timeoutSeconds: 10, scopeMap: {} })
    expect(warnings).toEqual([])
    expect(store).toBe('sqlite:./x.db')
    expect(replicas).toBe('one')
    expect(Object.isFrozen(config.servers.todo?.headers)).toBe(true)
    expect(Object.isFrozen(config.limits)).toBe(true)
  })

  it('joins policies and budgets, the gateway first, and names rules by their place', () => {
    const { config } = parseOptions(
      options(
        { policy: { default: 'deny', rules: [{ allow: ['*'] }] }, budgets: [{ name: 'all', limit: 5, per: ['user'], window: 'day' }] },
        {
          policy: { default: 'allow', rules: [{ deny: ['x'], name: 'mine' }, { deny: ['y'] }] },
          budgets: [{ name: 'todo', limit: 1, per: [], window: { seconds: 5 } }],
        },
      ),
    )
    expect(config.servers.todo?.policies.map((policy) => policy.rules.map((rule) => rule.name))).toEqual([['gateway rule 1'], ['mine', 'server rule 2']])
    expect(config.servers.todo?.budgets.map((budget) => budget.name)).toEqual(['all', 'todo'])
  })

  it('offers the names of the scope map and what stands for itself', () => {
    const { config } = parseOptions(options({}, {}, { scopes: ['openid', 'a', 'b', 'c'], scopeMap: { todos: ['a', 'b'] } }))
    expect(config.servers.todo?.scopes).toEqual(['todos', 'c'])
  })

  it('lets users sign in at the only provider even where no token goes to the runtime', () => {
    expect(parseOptions(options({}, { grants: 'none' })).config.servers.todo).toMatchObject({ provider: 'default', grants: 'none' })
  })

  it('asks for openid where the identity is read from an ID token', () => {
    const plain = { issuer: 'https://a.example.com', clientId: 'a', scopes: ['x'] }
    const scopes = (over: object) => parseOptions(options({ downstream: { ...plain, ...over } })).config.providers.default?.scopes
    expect(scopes({})).toEqual(['openid', 'x'])
    expect(scopes({ identity: 'userinfo' })).toEqual(['openid', 'x'])
    expect(scopes({ identity: 'userinfo', endpoints: { authorization: 'https://a.example.com/a', token: 'https://a.example.com/t' } })).toEqual(['x'])
    expect(scopes({ identity: 'introspection' })).toEqual(['x'])
    expect(parseOptions(options({ downstream: plain })).config.servers.todo?.scopes).toEqual(['x'])
  })

  it('keeps the handler of a local runtime', () => {
    const handler = () => undefined
    expect(parseOptions(options({}, { runtime: handler })).config.servers.todo?.runtime).toEqual({ kind: 'local', handler })
  })
})

describe('publicUrl', () => {
  it.each([
    ['https://mcp.example.com/', 'https://mcp.example.com', ''],
    ['https://example.com/gw', 'https://example.com/gw', '/gw'],
    ['https://example.com:8443/a/b/', 'https://example.com:8443/a/b', '/a/b'],
    ['http://127.0.0.1:3000', 'http://127.0.0.1:3000', ''],
    ['http://localhost:3000/', 'http://localhost:3000', ''],
    ['http://[::1]:3000', 'http://[::1]:3000', ''],
  ])('%s → issuer %s', (publicUrl, issuer, basePath) => {
    const { config } = parseOptions(options({ publicUrl }))
    expect(config).toMatchObject({ issuer, basePath, loopback: publicUrl.startsWith('http:') })
    expect(config.servers.todo?.resource).toBe(`${issuer}/mcp`)
  })

  it.each([
    ['mcp.example.com', /absolute URL/],
    ['http://mcp.example.com', /https/],
    ['http://127.0.0.1.example.com', /https/],
    ['ftp://127.0.0.1', /https/],
    ['https://mcp.example.com?x=1', /no query/],
    ['https://mcp.example.com?', /no query/],
    ['https://mcp.example.com/#', /no fragment/],
    ['https://user:pw@mcp.example.com', /no user name/],
    ['https://MCP.example.com', /written as 'https:\/\/mcp.example.com'/],
    ['https://mcp.example.com:443', /written as 'https:\/\/mcp.example.com'/],
    ['https://mcp.example.com/a/../b', /written as 'https:\/\/mcp.example.com\/b'/],
    ['https://mcp.example.com//', /path of segments/],
    ['https://mcp.example.com/a%20b', /path of segments/],
    ['', /absolute URL/],
  ])('refuses %s', (publicUrl, why) => {
    const { option, message } = errorOf(options({ publicUrl }))
    expect(option).toBe('publicUrl')
    expect(message).toMatch(why)
  })
})

describe('what the gateway issues, and to whom besides users', () => {
  const client = { clientId: 'svc', name: 'Service' }
  const confidential = { ...client, clientSecret: 'sixteen-characters' }
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  const { d: _private, ...publicKey } = key

  it('services, resource servers, issuers, hierarchies and keys come through whole', () => {
    const { config } = parseOptions(
      options(
        {
          clients: { preregistered: [{ ...confidential, service: true, introspect: true, dpopBoundAccessTokens: true }] },
          enterprise: { issuers: { 'https://idp.example.com': { jwksUri: 'https://idp.example.com/keys' } } },
          scopeHierarchy: { 'todos.write': ['todos.read'] },
          tokens: { accessTokenFormat: 'jwt', signingKeys: [key], accessTokenSeconds: 60 },
        },
        { serviceGrant: 'client_credentials' },
        { clientSecret: 'a-secret' },
      ),
    )
    expect(config.clients.preregistered).toEqual([{ ...confidential, service: true, introspect: true, dpopBoundAccessTokens: true, redirectUris: [] }])
    expect(config.enterprise['https://idp.example.com']).toEqual({
      issuer: 'https://idp.example.com',
      jwks: undefined,
      jwksUri: 'https://idp.example.com/keys',
      identify: undefined,
    })
    expect(config.scopeHierarchy).toEqual({ 'todos.write': ['todos.read'] })
    expect(config.tokens).toMatchObject({ accessTokenFormat: 'jwt', accessTokenSeconds: 60, signingKeys: [{ alg: 'ES256' }] })
    expect(config.servers.todo?.serviceGrant).toBe('client_credentials')
  })

  it.each<[GatewayOptions, string, string]>([
    [options({ clients: { preregistered: [{ ...client, service: true }] } }), 'clients.preregistered[0].service', 'proves itself'],
    [options({ clients: { preregistered: [{ ...client, introspect: true }] } }), 'clients.preregistered[0].introspect', 'proves itself'],
    [options({ clients: { preregistered: [client] } }), 'clients.preregistered[0].redirectUris', 'is missing'],
    [options({ clients: { preregistered: [{ ...confidential, redirectUris: [] }] } }), 'clients.preregistered[0].redirectUris', 'at least 1'],
    [options({}, { serviceGrant: 'client_credentials', grants: 'none' }, { clientSecret: 'a-secret' }), 'servers.todo.serviceGrant', 'server with grants'],
    [
      options({ downstream: { issuer: 'https://a.example.com', clientId: 'a', scopes: ['x'] } }, { serviceGrant: 'client_credentials' }),
      'servers.todo.serviceGrant',
      'needs a clientSecret',
    ],
    [options({ tokens: { accessTokenFormat: 'jwt' } }), 'tokens.signingKeys', 'at least one private JWK'],
    [options({ tokens: { signingKeys: [publicKey] } }), 'tokens.signingKeys[0]', 'private JWK'],
    [options({ tokens: { signingKeys: [key, key] } }), 'tokens.signingKeys[1]', 'kid of another'],
    [options({ tokens: { accessTokenFormat: 'paseto' } }), 'tokens.accessTokenFormat', "'opaque' or 'jwt'"],
    [options({ scopeHierarchy: { 'todos.write': ['todos.raed'] } }), 'scopeHierarchy.todos.write', "'todos.raed' is no scope"],
    [options({ scopeHierarchy: { admin: ['todos.read'] } }), 'scopeHierarchy.admin', "'admin' is no scope"],
    [options({ scopeHierarchy: { 'todos.write': ['todos.read'], 'todos.read': ['todos.write'] } }), 'scopeHierarchy.todos.write', 'includes itself'],
    [options({ enterprise: { issuers: {} } }), 'enterprise.issuers', 'names no issuer'],
    [options({ enterprise: { issuers: { 'http://idp.example.com': {} } } }), 'enterprise.issuers.http://idp.example.com', 'https'],
    [
      options({ enterprise: { issuers: { 'https://idp.example.com': { jwks: { keys: [{ kty: 'EC' }] }, jwksUri: 'https://idp.example.com/keys' } } } }),
      'enterprise.issuers.https://idp.example.com',
      'not both',
    ],
    [options({ endpoints: { jwks: '/token' } }), 'endpoints.jwks', 'taken by endpoints.token'],
  ])('%#', (given, option, words) => {
    const error = errorOf(given)
    expect([error.option, error.message]).toEqual([option, expect.stringContaining(words)])
    expect(error.message).not.toContain(String(key.d))
  })
})

describe('unknown options', () => {
  it.each<[GatewayOptions, string, string]>([
    [options({ publicURL: 'https://x' }), 'options', "did you mean 'publicUrl'?"],
    [{ publicUrl: 'https://x', server: {} } as unknown as GatewayOptions, 'options', "did you mean 'servers'?"],
    [options({ budget: [] }), 'options', "did you mean 'budgets'?"],
    [options({ consent: { colors: {} } }), 'consent', "did you mean 'colours'?"],
    [options({}, { workerSecrte: 'x' }), 'servers.todo', "did you mean 'workerSecret'?"],
    [options({}, {}, { clientID: 'x' }), 'downstream', "did you mean 'clientId'?"],
    [options({ limits: { bodyByte: 1 } }), 'limits', "did you mean 'bodyBytes'?"],
    [options({ tokens: { accessTokenSecond: 1 } }), 'tokens', "did you mean 'accessTokenSeconds'?"],
    [
      options({ policy: { default: 'allow', rules: [{ tools: ['x'], requireApproval: { expiresIn: '10m' } }] } }),
      'policy.rules[0]',
      "'requireApproval' is no option here",
    ],
    [options({ policy: { default: 'allow', rules: [{ deny: ['x'], when: { argument: {} } }] } }), 'policy.rules[0].when', "did you mean 'arguments'?"],
    [options({ budgets: [{ name: 'x', limit: 1, per: [], concurrent: true, window: 'day' }] }), 'budgets[0]', "'concurrent' is no option here"],
    [options({ clients: { metadataDocuments: { allowed: [] } } }), 'clients.metadataDocuments', "did you mean 'allow'?"],
    [options({ sessions: 'revive' }), 'options', "'sessions' is no option here; known here: publicUrl"],
    [options({ endpoints: { inspect: '/x' } }), 'endpoints', "'inspect' is no option here"],
  ])('%#', (given, option, words) => {
    const error = errorOf(given)
    expect(error.option).toBe(option)
    expect(error.message).toContain(words)
  })
})

describe('wrong options name themselves', () => {
  const rule = (given: unknown) => options({ policy: { default: 'allow', rules: [given] } })
  const budget = (given: Record<string, unknown>) => options({ budgets: [{ name: 'x', limit: 1, per: ['user'], window: 'day', ...given }] })
  it.each<[string, GatewayOptions, RegExp]>([
    ['servers', options({ servers: {} }), /at least one server/],
    ['servers.todo.path', options({}, { path: 'mcp' }), /start with/],
    ['servers.todo.path', options({}, { path: '/mcp/' }), /end with/],
    ['servers.todo.path', options({}, { path: '/a/../b' }), /dot segments/],
    ['servers.todo.path', options({}, { path: '/.well-known/x' }), /well-known/],
    ['servers.todo.path', options({}, { path: '/token' }), /taken by endpoints.token/],
    [
      'servers.b.path',
      options({ servers: { a: { path: '/m', runtime: 'http://x', workerSecret }, b: { path: '/m', runtime: 'http://x', workerSecret } } }),
      /taken by servers.a.path/,
    ],
    ['endpoints.revoke', options({ endpoints: { revoke: '/token' } }), /taken by endpoints.token/],
    ['servers.todo.workerSecret', options({}, { workerSecret: undefined }), /is not set/],
    ['servers.todo.workerSecret', options({}, { workerSecret: 'short' }), /at least 16/],
    ['servers.todo.workerSecret[1]', options({}, { workerSecret: [workerSecret, undefined] }), /is not set/],
    ['servers.todo.workerSecret', options({}, { workerSecret: [workerSecret, workerSecret] }), /twice/],
    ['servers.todo.workerSecret', options({}, { workerSecret: 'with spaces in the middle' }), /without spaces/],
    ['servers.todo.runtime', options({}, { runtime: 'localhost:8000' }), /URL/],
    ['servers.todo.runtime[1]', options({}, { runtime: ['http://a', 'ftp://b'] }), /URL/],
    ['servers.todo.scopes', options({}, { scopes: ['other'] }), /'other' is neither/],
    ['servers.todo.scopes[0]', options({}, { scopes: ['two words'] }), /must be a scope/],
    ['servers.todo.provider', options({}, { provider: 'crm' }), /none of default/],
    ['servers.todo.grants', options({}, { grants: 'own' }), /needs a downstream/],
    ['servers.todo.headers.accessToken', options({}, { headers: { accessToken: 'Authorization' } }), /meaning of its own/],
    ['servers.todo.headers', options({}, { headers: { accessToken: 'X-A', subject: 'x_a' } }), /one name/],
    ['servers.todo.origins[0]', options({}, { origins: ['https://app.example.com/'] }), /origin/],
    ['secrets[0]', options({ secrets: ['short'] }), /at least 32/],
    ['secrets[0]', options({ secrets: [undefined] }), /is not set/],
    ['secrets', options({ secrets: [] }), /at least 1/],
    ['downstream.clientSecret', options({}, {}, { clientSecret: undefined }), /is not set/],
    ['downstream.clientAuthentication', options({}, {}, { clientAuthentication: 'none' }), /needs no clientSecret/],
    ['downstream.clientAuthentication', options({}, {}, { clientAuthentication: 'private_key_jwt' }), /privateKey/],
    ['downstream.issuer', options({}, {}, { issuer: 'http://login.example.com' }), /https/],
    ['downstream.scopeMap.x', options({}, {}, { scopeMap: { x: ['unlisted'] } }), /'unlisted'/],
    ['downstream.authorizeParams.state', options({}, {}, { authorizeParams: { state: 'x' } }), /by the gateway itself/],
    ['downstream.tokenParams.code', options({}, {}, { tokenParams: { code: 'x' } }), /by the gateway itself/],
    ['clients.registration.initialAccessToken', options({ clients: { registration: { initialAccessToken: undefined } } }), /is not set/],
    ['clients.metadataDocuments.allow', options({ clients: { metadataDocuments: { allow: [] } } }), /at least 1/],
    ['clients', options({ clients: { metadataDocuments: false, registration: false } }), /no client in/],
    ['clients.metadataDocuments.ask[0]', options({ clients: { metadataDocuments: { ask: ['*.*'] } } }), /must be a host/],
    ['clients.registration.maxClients', options({ clients: { registration: { maxClients: 0 } } }), /at least 1/],
    ['clients.registration.softwareStatements.issuers', options({ clients: { registration: { softwareStatements: { issuers: {} } } } }), /names no issuer/],
    [
      'clients.registration.softwareStatements.issuers.a.jwksUri',
      options({ clients: { registration: { softwareStatements: { issuers: { a: { jwksUri: 'http://a.example/keys' } } } } } }),
      /https/,
    ],
    [
      'clients.registration.softwareStatements.issuers.a',
      options({ clients: { registration: { softwareStatements: { issuers: { a: {} as never } } } } }),
      /one of jwks and jwksUri/,
    ],
    ['clients.pushedRequests', options({ clients: { pushedRequests: 'always' as never } }), /'off' or 'offered' or 'required'/],
    [
      'clients.preregistered[0].requirePushedRequests',
      options({
        clients: { pushedRequests: 'off', preregistered: [{ clientId: 'a', name: 'A', redirectUris: ['https://a/cb'], requirePushedRequests: true }] },
      }),
      /'off'/,
    ],
    ['servers.todo.requiredScopes', options({}, { requiredScopes: ['unlisted'] }), /'unlisted' is no scope/],
    ['consent.render', options({ consent: { render: '<p>' as never } }), /function/],
    [
      'clients.preregistered[0].redirectUris[0]',
      options({ clients: { preregistered: [{ clientId: 'a', name: 'A', redirectUris: ['http://example.com/cb'] }] } }),
      /loopback/,
    ],
    [
      'clients.preregistered[0].clientSecret',
      options({ clients: { preregistered: [{ clientId: 'a', name: 'A', redirectUris: ['https://a/cb'], clientSecret: undefined }] } }),
      /is not set/,
    ],
    ['consent.texts.alow', options({ consent: { texts: { alow: 'Yes' } } }), /did you mean 'allow'/],
    ['consent.logo', options({ consent: { logo: 'javascript:alert(1)' } }), /https URL/],
    ['replicas', options({ replicas: 'many' }), /share/],
    ['log', options({ log: 'stderr' }), /logger/],
    ['tokens.codeSeconds', options({ tokens: { codeSeconds: 601 } }), /at most 600/],
    ['limits.bodyBytes', options({ limits: { bodyBytes: '4mb' } }), /whole number|a number/],
    ['policy.rules[0]', rule({ allow: ['a'], deny: ['b'] }), /exactly one/],
    ['policy.rules[0]', rule({ tools: ['a'] }), /needs requireScopes/],
    ['policy.rules[0]', rule({ allow: ['a'], mode: 'dry-run' }), /decides nothing/],
    ['policy.rules[0].requireScopes', rule({ tools: ['a'], requireScopes: ['nope'] }), /'nope' is no scope/],
    ['policy.rules[0].when.arguments.amount', rule({ deny: ['a'], when: { arguments: { amount: { gt: 5 } } } }), /JSON pointer/],
    ['policy.rules[0].when.arguments./amount', rule({ deny: ['a'], when: { arguments: { '/amount': {} } } }), /operator/],
    ['policy.default', options({ policy: { default: 'ask', rules: [] } }), /'allow' or 'deny'/],
    ['budgets[0].per[0]', budget({ per: ['ip'] }), /'user'/],
    ['budgets[0].timeZone', budget({ timeZone: 'Europe/Atlantis' }), /IANA/],
    ['budgets[0].timeZone', budget({ window: { seconds: 5 }, timeZone: 'UTC' }), /calendar/],
    ['budgets[0].limit', budget({ limit: 1.5 }), /whole number/],
    [
      'servers.todo.budgets[0].name',
      options({ budgets: [{ name: 'x', limit: 1, per: [], window: 'day' }] }, { budgets: [{ name: 'x', limit: 1, per: [], window: 'day' }] }),
      /taken by budgets\[0\]/,
    ],
  ])('%s (%#)', (option, given, why) => {
    if (option === 'servers.todo.grants') delete (given as { downstream?: unknown }).downstream
    const error = errorOf(given)
    expect({ option: error.option, message: error.message }).toEqual({ option, message: expect.stringMatching(why) })
  })

  it('never quotes a secret', () => {
    for (const given of [
      options({ secrets: ['tell-nobody'] }),
      options({}, { workerSecret: 'tell nobody this one' }),
      options({}, {}, { clientSecret: 'tell nobody' }),
    ]) {
      expect(errorOf(given).message).not.toMatch(/tell.nobody/)
    }
  })
})

describe('several providers', () => {
  const two = {
    main: { issuer: 'https://a.example.com', clientId: 'a', scopes: ['x'] },
    crm: { issuer: 'https://b.example.com', clientId: 'b', scopes: ['y'] },
  }
  it('asks each server which', () => {
    expect(errorOf(options({ downstream: two }))).toMatchObject({ option: 'servers.todo.provider', message: expect.stringContaining('main, crm') })
    expect(parseOptions(options({ downstream: two }, { provider: 'crm' })).config.servers.todo).toMatchObject({ provider: 'crm', scopes: ['y'] })
  })
  it('names the one that is wrong', () => {
    expect(errorOf(options({ downstream: { ...two, crm: { ...two.crm, scopes: 'y' } } })).option).toBe('downstream.crm.scopes')
  })
})

describe('store and secrets', () => {
  it('makes up secrets in memory only, and says so', () => {
    const given = options()
    delete (given as { secrets?: unknown }).secrets
    const { secrets, warnings } = parseOptions(given)
    expect(secrets).toHaveLength(1)
    expect(secrets[0]?.length).toBeGreaterThanOrEqual(32)
    expect(warnings.join('\n')).toMatch(/store is left out[\s\S]*secrets is left out/)
  })
  it('refuses a store without secrets', () => {
    const given = options({ store: 'sqlite:./x.db' })
    delete (given as { secrets?: unknown }).secrets
    expect(errorOf(given).option).toBe('secrets')
  })
  it('warns of a gateway where nobody signs in', () => {
    const given = options({}, {})
    delete given.downstream
    expect(parseOptions(given).warnings.join()).toMatch(/servers.todo has neither/)
    expect(parseOptions({ ...given, identify: () => ({ sub: 'x' }) }).warnings.join()).not.toMatch(/neither/)
  })
  it('takes what says whom to trust, and how much', () => {
    const jwks = { keys: [{ kty: 'EC' }] }
    const { clients, servers, consent } = parseOptions(
      options(
        {
          clients: {
            metadataDocuments: { allow: ['claude.ai'], ask: ['*'] },
            registration: { maxClients: 5, softwareStatements: { issuers: { 'https://a.example': { jwks }, b: { jwksUri: 'https://b.example/keys' } } } },
            pushedRequests: 'required',
          },
          consent: { chooseScopes: false, render: () => '' },
        },
        { scopes: ['todos.read', 'todos.write'], requiredScopes: ['todos.read'] },
      ),
    ).config
    expect(clients).toMatchObject({
      metadataDocuments: { allow: ['claude.ai'], ask: ['*'], deny: [] },
      registration: {
        maxClients: 5,
        softwareStatements: { issuers: { 'https://a.example': { jwks }, b: { jwksUri: 'https://b.example/keys' } }, required: false },
      },
      pushedRequests: 'required',
    })
    expect(servers.todo?.requiredScopes).toEqual(['todos.read'])
    expect(consent).toMatchObject({ chooseScopes: false, render: expect.any(Function) })
  })
  it('warns of private addresses', () => {
    expect(parseOptions(options({ clients: { metadataDocuments: { dangerouslyAllowPrivateAddresses: true } } })).warnings.join()).toMatch(/private network/)
  })
})
