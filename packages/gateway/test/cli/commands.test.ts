import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals'
import { subjectKey } from '../../src/connections/connection.ts'
import { checkAccessToken, newConnectionId, openConnection, redeemCode } from '../../src/connections/connections.ts'
import { ownGrantKey } from '../../src/grants/grant-key.ts'
import { readGrant, readGrantTokens, saveGrant } from '../../src/grants/grants.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'
import { alice, authorization, clientId, type Given, given, todo, verifier } from '../connections/given.ts'

const folder = mkdtempSync(join(tmpdir(), 'emcy-cli-'))
const opened: Store[] = []
afterAll(async () => {
  for (const store of opened) await store.close()
  rmSync(folder, { recursive: true })
})

const [oldSecret, newSecret] = ['the-old-secret-of-at-least-thirty-two-characters', 'the-new-secret-of-at-least-thirty-two-characters'] as const
const program = fileURLToPath(new URL('run-main.ts', import.meta.url))

interface Ended {
  code: number | null
  out: string[]
  errors: string
}

function run(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['--no-warnings', program, ...args], { env: { ...process.env, NODE_OPTIONS: '' } }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, out: stdout.split('\n').filter((line) => line !== ''), errors: stderr })
    })
  })
}

let deps: Given
let file: string
let made = 0

/** A configuration module on this test's store, as the processes that serve it have. */
function config(secrets: string[], more: object = {}): string {
  const path = join(folder, `config-${made++}.mjs`)
  const servers = { todo: { path: '/mcp', runtime: 'http://127.0.0.1:9/mcp', workerSecret: 'w'.repeat(32), grants: 'none' } }
  const downstream = { issuer: 'https://login.example.com', clientId: 'emcy', clientSecret: 'secret', scopes: ['openid'] }
  const options = { publicUrl: 'https://mcp.example.com', downstream, servers, store: `sqlite:${file}`, secrets, ...more }
  writeFileSync(path, `export default ${JSON.stringify(options)}`)
  return path
}

beforeEach(() => {
  file = join(folder, `${made++}.db`)
  deps = given((clock) => {
    const store = sqliteStore(file, { clock })
    opened.push(store)
    return store
  })
  // The command has a clock of its own.
  deps.time.now = Date.now()
  deps.keys = createKeyRing([oldSecret])
})

async function connect(sub: string, clientName = 'A client'): Promise<{ id: string; access: string; grantKey: string }> {
  const identity = { ...alice, sub }
  const connectionId = newConnectionId(deps)
  const grantKey = ownGrantKey('default', connectionId)
  await saveGrant(deps, grantKey, { accessToken: `of ${sub}`, scopes: [], identity, provider: 'default', owner: connectionId, lifeSeconds: 3000 })
  const client = { ...authorization.client, name: clientName }
  const { code } = await openConnection(deps, { ...authorization, connectionId, identity, client, server: todo, grantKey })
  const { response } = await redeemCode(deps, { code, clientId, verifier })
  return { id: connectionId, access: response.access_token, grantKey }
}

const subjectOf = (sub: string) => subjectKey({ ...alice, sub })

describe('emcy-gateway connections', () => {
  it('lists all, a line each, and says how many', async () => {
    const made = [await connect('ann'), await connect('ben')]
    const { code, out, errors } = await run('connections', config([oldSecret]))
    expect([code, errors, out.at(-1)]).toEqual([0, '', '2 connections'])
    expect(out.slice(0, -1).map((line) => line.split('  ')[0])).toEqual(expect.arrayContaining(made.map(({ id }) => id)))
    expect(out.join()).toContain(subjectOf('ann'))
  })

  it('lists those of a user, as JSON lines where asked', async () => {
    await connect('ann')
    const { id } = await connect('ben')
    const { out } = await run('connections', config([oldSecret]), 'list', '--subject', subjectOf('ben'), '--json')
    expect(out.map((line) => JSON.parse(line))).toEqual([expect.objectContaining({ connectionId: id, subject: subjectOf('ben'), clientId, server: 'todo' })])
  })

  it('lets no name of a client write to the terminal', async () => {
    await connect('ann', 'evil\u001b[2J\r\n\u202ename')
    const { out } = await run('connections', config([oldSecret]))
    expect(out).toHaveLength(2)
    expect(out[0]).toContain('evil [2J name')
  })

  it('ends one at once', async () => {
    const [one, two] = [await connect('ann'), await connect('ann')]
    const { code, out } = await run('connections', config([oldSecret]), 'revoke', one.id)
    expect([code, out.at(-1)]).toEqual([0, '1 connection ended'])
    await expect(checkAccessToken(deps, one.access, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
    await checkAccessToken(deps, two.access, 'todo')
    expect((await run('connections', config([oldSecret]), 'revoke', one.id)).out).toEqual(['0 connections ended'])
  })

  it("ends a user's, and logs it beside its own output", async () => {
    const [one, two, three] = [await connect('ann'), await connect('ann'), await connect('ben')]
    const { out, errors } = await run('connections', config([oldSecret], { log: 'stdout' }), 'revoke', '--subject', subjectOf('ann'))
    expect(out.at(-1)).toBe('2 connections ended')
    expect(errors.match(/"event":"authorization\.revoke"/g)).toHaveLength(2)
    for (const { access } of [one, two]) await expect(checkAccessToken(deps, access, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
    await checkAccessToken(deps, three.access, 'todo')
  })

  it.each([
    [['connections'], 'CONFIG is missing'],
    [['connections', 'c', 'show'], 'neither list nor revoke'],
    [['connections', 'c', 'list', 'id'], 'one argument too many'],
    [['connections', 'c', 'revoke'], 'needs an ID'],
    [['connections', 'c', 'revoke', 'id', '--subject', 's'], 'do not go together'],
    [['connections', 'c', '--user', 's'], "Unknown option '--user'"],
    [['rotate'], 'CONFIG is missing'],
    [['rotate', 'c', 'd'], 'one argument too many'],
  ])('refuses %j', async (args, words) => {
    const { code, errors, out } = await run(...args)
    expect([code, out]).toEqual([2, []])
    expect(errors).toContain(words)
    expect(errors).toContain('Usage:')
  })

  it('refuses a store that is the memory of another process', async () => {
    const { code, errors } = await run('connections', config([oldSecret], { store: 'memory:' }))
    expect(code).toBe(2)
    expect(errors).toContain('memory of one process')
  })
})

describe('emcy-gateway rotate', () => {
  it('seals everything anew, and says until when the older secret is needed', async () => {
    const made = [await connect('ann'), await connect('ben')]
    const { code, out, errors } = await run('rotate', config([newSecret, oldSecret]))
    expect([code, errors]).toEqual([0, ''])
    expect(out[0]).toMatch(/^2 connections looked at in \d+\.\d s, 2 values sealed anew under secret 1$/)
    const until = /secret 2: tokens that it signed live until (\S+ \S+) UTC; keep it/.exec(out[1] ?? '')?.[1]
    const expiry = deps.time.now + 3_000_000
    expect(Date.parse(`${until?.replace(' ', 'T')}:00Z`) - expiry).toBeGreaterThanOrEqual(0)
    expect(Date.parse(`${until?.replace(' ', 'T')}:00Z`) - expiry).toBeLessThanOrEqual(60_000)
    const keys = createKeyRing([newSecret])
    for (const [index, { grantKey }] of made.entries()) {
      const grant = await readGrant(deps, grantKey)
      expect(grant && readGrantTokens({ keys }, grantKey, grant.value)?.accessToken).toBe(['of ann', 'of ben'][index])
    }
  })

  it('says when nothing needs an older secret any more', async () => {
    deps.keys = createKeyRing([newSecret])
    await connect('ann')
    const { out } = await run('rotate', config([newSecret, oldSecret]))
    expect(out[1]).toBe('secret 2: nothing needs it any more; take it out of secrets')
  })

  it('says what to do with one secret only, and what no secret opens', async () => {
    await connect('ann')
    const { code, out } = await run('rotate', config([newSecret]))
    expect(code).toBe(0)
    expect(out[1]).toBe('1 value that no secret opens: the users behind them sign in again')
    expect(out[2]).toMatch(/^There is one secret only/)
  })
})
