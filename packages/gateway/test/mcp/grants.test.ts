import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { refreshTokens } from '../../src/connections/connections.ts'
import { readGrant } from '../../src/grants/grants.ts'
import { usableToken } from '../../src/grants/usable-grant.ts'
import type { ServerOptions } from '../../src/options/gateway-options.ts'
import { gatewayClient, signIn } from '../grants/given.ts'
import { type Oidc, startOidc } from '../grants/oidc.ts'
import { answerResult, type HttpListener, startHttpListener } from '../runtime/http-listener.ts'
import { type Connected, call, rpc, startWorld, type World, workerSecret } from './given.ts'

let oidc: Oidc
let runtime: HttpListener
const worlds: World[] = []
beforeAll(async () => {
  oidc = await startOidc([gatewayClient])
})
afterAll(() => oidc?.close())
beforeEach(async () => {
  runtime = await startHttpListener()
  oidc.tokenRequests.length = 0
  oidc.intercept = undefined
})
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
  await runtime.close()
})

/** A world whose user has signed in at a real provider. */
async function signedIn(server: Partial<ServerOptions> = {}): Promise<{ world: World; user: Connected; first: string }> {
  const world = await startWorld({ runtime: runtime.url, issuer: oidc.issuer, server })
  worlds.push(world)
  const tokens = await signIn(oidc, Object.values(world.deps.downstreams)[0] as World['deps']['downstreams'][string])
  oidc.tokenRequests.length = 0
  return { world, user: await world.connect('ann', { tokens }), first: tokens.accessToken }
}

const tokensSeen = () => runtime.seen.map(({ req }) => req.headers['x-emcy-access-token'])

/** A runtime that takes only tokens of this list. */
const takes = (good: (token: string) => boolean): HttpListener['answer'] => {
  return (req, res, body) => {
    if (good(String(req.headers['x-emcy-access-token']))) answerResult(req, res, body)
    else res.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token", realm="inside"' }).end('no')
  }
}

const refusesRefresh = (world: World, user: Connected) =>
  refreshTokens(world.deps, { refreshToken: user.refreshToken, clientId: 'client-1' }).then(
    () => 'issued',
    (error: { code: string }) => error.code,
  )

describe('BC-4 BC-5 EX-5: the downstream token', () => {
  it('goes with every call, and the client’s own never does', async () => {
    const { world, user, first } = await signedIn()
    for (const [method, body] of [
      ['POST', call()],
      ['POST', { jsonrpc: '2.0', method: 'notifications/initialized' }],
      ['GET', undefined],
    ] as const)
      await world.ask(user.token, body, { cookie: 'a=1', 'x-emcy-access-token': 'spoofed' }, method)
    expect(tokensSeen()).toEqual([first, first, first])
    for (const { req } of runtime.seen) {
      expect(req.headers).toMatchObject({
        'x-emcy-worker-secret': workerSecret,
        'x-emcy-subject': 'ann',
        'x-emcy-client-id': 'client-1',
        'x-emcy-scopes': 'todos.read todos.write',
      })
      expect(JSON.stringify(req.rawHeaders)).not.toMatch(/emcy_at_|spoofed|a=1/)
      expect(req.rawHeaders.filter((name) => name.toLowerCase() === 'x-emcy-access-token')).toHaveLength(1)
    }
  })

  it('EX-5: a server without grants gets the secret and no token, whoever calls', async () => {
    const { world, user } = await signedIn({ grants: 'none' })
    expect((await world.ask(user.token, call(), { 'x-emcy-access-token': 'spoofed' })).status).toBe(200)
    expect(tokensSeen()).toEqual([undefined])
    expect(runtime.seen[0]?.req.headers['x-emcy-worker-secret']).toBe(workerSecret)
  })

  it('is refreshed when it is over, once for many calls', async () => {
    const { world, user, first } = await signedIn()
    world.time.ahead = 299_500
    const answers = await Promise.all(Array.from({ length: 10 }, () => world.ask(user.token, call())))
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200))
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
    expect(new Set(tokensSeen()).size).toBe(1)
    expect(tokensSeen()[0]).not.toBe(first)
  })
})

describe('worker contract, rule 5: the runtime answers 401', () => {
  it('another token is fetched once, and the call sent again, byte for byte', async () => {
    const { world, user, first } = await signedIn()
    runtime.answer = takes((token) => token !== first)
    const answer = await world.ask(user.token, call())
    expect([answer.status, answer.json.result, 'www-authenticate' in answer.headers]).toEqual([200, { content: [] }, false])
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
    expect(runtime.seen).toHaveLength(2)
    expect(runtime.seen[0]?.body.equals(runtime.seen[1]?.body as Buffer)).toBe(true)
    expect((await world.ask(user.token, call())).status).toBe(200)
    expect(runtime.seen).toHaveLength(3)
  })

  it('a token that another had fetched before the refusal may be over too: it is replaced as well, and no connection ends for it', async () => {
    const { world, user, first } = await signedIn()
    const downstream = Object.values(world.deps.downstreams)[0] as World['deps']['downstreams'][string]
    let second: string | undefined
    runtime.answer = async (req, res, body) => {
      // Another replica replaces the token while this call is under way with the old one, and stands still until the new one is over too.
      second ??= (await usableToken({ ...world.deps, downstream }, String(user.grantKey), undefined, { refused: first })).accessToken
      takes((token) => token !== first && token !== second)(req, res, body)
    }
    expect((await world.ask(user.token, call())).status).toBe(200)
    expect(new Set(tokensSeen())).toEqual(new Set([first, second, tokensSeen()[2]]))
    expect(oidc.tokenRequests).toEqual(['refresh_token', 'refresh_token'])
    expect((await world.ask(user.token, call())).status).toBe(200)
  })

  it('a second 401 ends the connection: invalid_token, and invalid_grant for the refresh token', async () => {
    const { world, user } = await signedIn()
    runtime.answer = takes(() => false)
    const answer = await world.ask(user.token, call())
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_token'])
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer resource_metadata="https:\/\/mcp\.example\.com\/[^"]*", scope="[^"]*", error="invalid_token"/)
    expect(answer.headers['www-authenticate']).not.toContain('inside')
    expect(runtime.seen).toHaveLength(2)
    expect(await refusesRefresh(world, user)).toBe('invalid_grant')
    expect((await world.ask(user.token, call())).status).toBe(401)
    expect(runtime.seen).toHaveLength(2)
    expect(await readGrant(world.deps, String(user.grantKey))).toBeUndefined()
  })

  it('a shared grant is marked, so that the user’s other connections end too when they are used', async () => {
    const { world, user, first } = await signedIn({ grants: 'shared' })
    runtime.answer = takes(() => false)
    expect((await world.ask(user.token, call())).status).toBe(401)
    expect((await readGrant(world.deps, String(user.grantKey)))?.value.state).toBe('needs-reconnect')
    expect(first).toBeTruthy()
  })

  it('a worker secret that the runtime does not know is no fault of the user: no grant dies of it', async () => {
    const { world, user } = await signedIn()
    runtime.answer = (_req, res) => void res.writeHead(401, { 'www-authenticate': 'Emcy-Worker-Secret' }).end()
    const answer = await world.ask(user.token, call())
    expect([answer.status, answer.json]).toMatchObject([200, { id: 7, error: { code: -31004, data: { error: 'runtime_invalid' } } }])
    expect(oidc.tokenRequests).toEqual([])
    runtime.answer = answerResult
    expect((await world.ask(user.token, call())).json.result).toEqual({ content: [] })
  })

  it('without a user token a 401 is a failure of the runtime', async () => {
    const { world, user } = await signedIn({ grants: 'none' })
    runtime.answer = takes(() => false)
    const answer = await world.ask(user.token, call())
    expect([answer.status, answer.json]).toMatchObject([200, { id: 7, error: { code: -31004 } }])
    expect((await world.ask(user.token, undefined, {}, 'GET')).status).toBe(502)
  })
})

describe('design, refusals: the provider', () => {
  it('says no for good: 401 invalid_token, and the refresh token gets invalid_grant', async () => {
    const { world, user } = await signedIn()
    const stored = await readGrant(world.deps, String(user.grantKey))
    expect(stored?.value.state).toBe('live')
    oidc.intercept = (_req, res) => {
      res.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}')
      return true
    }
    world.time.ahead = 300_000
    const answer = await world.ask(user.token, call())
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_token'])
    expect(runtime.seen).toHaveLength(0)
    expect(await refusesRefresh(world, user)).toBe('invalid_grant')
    expect(world.events.findLast(({ event }) => event === 'mcp.request')).toMatchObject({ error: 'grant_dead', httpStatus: 401 })
  })

  it('is down: -31003 with Retry-After, the connection stays, and methods that are never refused go on without a token', async () => {
    const { world, user } = await signedIn()
    oidc.intercept = (_req, res) => {
      res.writeHead(503).end()
      return true
    }
    world.time.ahead = 300_000
    const answer = await world.ask(user.token, call())
    expect([answer.status, answer.json]).toMatchObject([200, { id: 7, error: { code: -31003, data: { error: 'provider_unavailable' } } }])
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(runtime.seen).toHaveLength(0)
    for (const method of ['initialize', 'ping', 'tools/list', 'server/discover']) expect((await world.ask(user.token, rpc(method))).json.result).toBeDefined()
    expect((await world.ask(user.token, { jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(202)
    expect(tokensSeen()).toEqual(Array(5).fill(undefined))
    oidc.intercept = undefined
    world.time.ahead = 305_000
    expect((await world.ask(user.token, call())).json.result).toEqual({ content: [] })
  })

  it("down, with refusals: 'http': 503", async () => {
    const { world, user } = await signedIn({ refusals: 'http' })
    oidc.intercept = (_req, res) => {
      res.writeHead(503).end()
      return true
    }
    world.time.ahead = 300_000
    const answer = await world.ask(user.token, call())
    expect([answer.status, answer.json.id, answer.json.error.code]).toEqual([503, 7, -31003])
  })
})
