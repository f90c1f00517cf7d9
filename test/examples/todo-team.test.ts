import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startApi } from '../../examples/todo/api.ts'
import { claimsOf, newBrowser, startTeam, type Team } from './team.ts'

let team: Team
beforeAll(async () => {
  team = await startTeam()
})
afterAll(() => team.close())

async function callApi(token: string | undefined, method = 'GET', path = '/todos', body?: unknown, api = team.api.url) {
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  }
  const response = await fetch(api + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  const text = await response.text()
  return { status: response.status, challenge: response.headers.get('www-authenticate'), body: text ? JSON.parse(text) : undefined }
}

describe('authorization server', () => {
  it('logs any user name in and names it in every token', async () => {
    const tokens = await team.logIn('ann')
    expect(claimsOf(tokens.access_token)).toMatchObject({ sub: 'ann', iss: team.as.issuer, aud: team.audience, scope: 'todos.read todos.write' })
    expect(claimsOf(tokens.id_token)).toMatchObject({ sub: 'ann', aud: 'tests', iss: team.as.issuer })
  })

  it('refuses a user name that is none', async () => {
    await expect(team.logIn('<script>alert(1)</script>')).rejects.toThrow(/did not reach the client: 400/)
  })

  it('rotates refresh tokens, and a reuse ends the whole grant', async () => {
    const events: string[] = []
    const note = (name: string) => () => void events.push(name)
    const [consumed, revoked] = [note('consumed'), note('revoked')]
    team.as.provider.on('refresh_token.consumed', consumed).on('grant.revoked', revoked)
    const first = await team.logIn('ben')
    const second = await team.refresh(first.refresh_token)
    expect(second.refresh_token).not.toBe(first.refresh_token)
    expect((await team.refresh(first.refresh_token)).error).toBe('invalid_grant')
    expect((await team.refresh(second.refresh_token)).error).toBe('invalid_grant')
    expect(events).toEqual(['consumed', 'revoked'])
    team.as.provider.off('refresh_token.consumed', consumed).off('grant.revoked', revoked)
  })

  it('asks nobody twice in one browser, also after the grant was revoked', async () => {
    const browser = newBrowser()
    const first = await team.logIn('cy', { browser })
    await team.refresh(first.refresh_token)
    await team.refresh(first.refresh_token)
    const again = await team.logIn('nobody asks for this name', { browser })
    expect(claimsOf(again.access_token).sub).toBe('cy')
    expect((await team.refresh(again.refresh_token)).scope).toBe('todos.read todos.write')
  })

  it('serves a login form that no page can frame and that says so when it is over', async () => {
    const response = await fetch(`${team.as.issuer}/interaction/unknown`)
    expect(response.status).toBe(400)
    expect(response.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(await response.text()).toContain('Start again')
  })

  it('keeps keys, sessions and refresh tokens over a restart, its secrets for the owner alone', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'todo-restart-'))
    const before = await startTeam({ dataDir })
    const port = Number(new URL(before.as.issuer).port)
    const tokens = await before.logIn('dora')
    await before.close()
    const after = await startTeam({ dataDir, port })
    expect((await callApi(tokens.access_token, 'GET', '/todos', undefined, after.api.url)).status).toBe(200)
    expect((await after.refresh(tokens.refresh_token)).scope).toBe('todos.read todos.write')
    await after.close()
    for (const name of ['authorization-server-jwks.json', 'authorization-server-cookie-key']) expect((await stat(join(dataDir, name))).mode & 0o777).toBe(0o600)
    await rm(dataDir, { recursive: true })
  })
})

describe('Todo API', () => {
  it('lets each user see their own todos only', async () => {
    const [eve, fay] = [await team.logIn('eve'), await team.logIn('fay')]
    const added = await callApi(eve.access_token, 'POST', '/todos', { title: 'Water the plants' })
    expect(added).toMatchObject({ status: 201, body: { title: 'Water the plants', done: false } })
    const { id } = added.body
    expect((await callApi(fay.access_token)).body).toEqual([])
    expect((await callApi(fay.access_token, 'POST', `/todos/${id}/complete`)).status).toBe(404)
    expect((await callApi(fay.access_token, 'DELETE', `/todos/${id}`)).status).toBe(404)
    expect((await callApi(eve.access_token, 'POST', `/todos/${id}/complete`)).body).toEqual({ id, title: 'Water the plants', done: true })
    expect((await callApi(eve.access_token, 'DELETE', `/todos/${id}`)).status).toBe(204)
    expect((await callApi(eve.access_token)).body).toEqual([])
  })

  it('asks for a token, and for the scope of the operation', async () => {
    expect(await callApi(undefined)).toMatchObject({ status: 401, challenge: 'Bearer realm="todo"' })
    const { access_token: token } = await team.logIn('gil', { scope: 'todos.read' })
    expect((await callApi(token)).status).toBe(200)
    expect(await callApi(token, 'POST', '/todos', { title: 'x' })).toMatchObject({
      status: 403,
      challenge: 'Bearer realm="todo", error="insufficient_scope", scope="todos.write"',
    })
  })

  it('refuses a token for another audience, of another issuer, expired, altered, unsigned or no access token', async () => {
    const refused = { status: 401, challenge: 'Bearer realm="todo", error="invalid_token"' }
    const other = await startTeam({ audience: 'https://other.example', accessTokenSeconds: 1 })
    const elsewhere = await startApi({ port: 0, dataDir: team.dataDir, issuer: other.as.issuer, audience: team.audience })
    const own = await startApi({ port: 0, dataDir: other.dataDir, issuer: other.as.issuer, audience: other.audience })
    const foreign = await other.logIn('hal')
    // At once: it lives for a second.
    expect(await callApi(foreign.access_token, 'GET', '/todos', undefined, own.url)).toMatchObject({ status: 200 })
    const mine = await team.logIn('hal')
    const [header, payload, signature] = mine.access_token.split('.') as [string, string, string]
    const wider = Buffer.from(JSON.stringify({ ...claimsOf(mine.access_token), sub: 'ann' })).toString('base64url')
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'at+jwt' })).toString('base64url')
    expect(await callApi(foreign.access_token, 'GET', '/todos', undefined, elsewhere.url)).toMatchObject(refused)
    expect(await callApi(foreign.access_token)).toMatchObject(refused)
    expect(await callApi(`${header}.${wider}.${signature}`)).toMatchObject(refused)
    expect(await callApi(`${none}.${payload}.`)).toMatchObject(refused)
    expect(await callApi(mine.id_token)).toMatchObject(refused)
    expect(await callApi('emcy_at_a-token-of-the-gateway')).toMatchObject(refused)
    const expiresAt = Number(claimsOf(foreign.access_token).exp) * 1000
    await new Promise((expired) => setTimeout(expired, expiresAt - Date.now() + 50))
    expect(await callApi(foreign.access_token, 'GET', '/todos', undefined, own.url)).toMatchObject(refused)
    await Promise.all([own.close(), elsewhere.close(), other.close()])
  })

  it('refuses what its block list names', async () => {
    const { access_token: token } = await team.logIn('ida')
    const strict = await startApi({ port: 0, dataDir: team.dataDir, issuer: team.as.issuer, audience: team.audience, isRevoked: ({ sub }) => sub === 'ida' })
    expect((await callApi(token, 'GET', '/todos', undefined, strict.url)).status).toBe(401)
    await strict.close()
  })

  it('says unavailable, not invalid, when the keys of the authorization server cannot be fetched', async () => {
    const { access_token: token } = await team.logIn('jo')
    const lost = await startApi({ port: 0, dataDir: team.dataDir, issuer: 'http://127.0.0.1:1', audience: team.audience })
    expect((await callApi(token, 'GET', '/todos', undefined, lost.url)).status).toBe(503)
    await lost.close()
  })

  it('refuses a title that is none', async () => {
    const { access_token: token } = await team.logIn('kim')
    for (const body of [{}, { title: '' }, { title: 'x'.repeat(201) }, { title: 1 }]) expect((await callApi(token, 'POST', '/todos', body)).status).toBe(400)
  })
})
