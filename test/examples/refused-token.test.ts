import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startApi } from '../../examples/todo/api.ts'
import { startAuthorizationServer } from '../../examples/todo/authorization-server.ts'
import { startGateway } from '../../examples/todo/gateway.ts'
import type { Running } from '../../examples/todo/listen.ts'
import { Browser, callbackOf } from '../harness/browser.ts'
import { clientV2, isUnauthorized } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { fourPorts } from './four-ports.ts'

const registration = { clientId: 'emcy-gateway', clientSecret: 'a-secret-of-this-test-alone' }

describe('an access token that the API takes back', () => {
  const running: Running[] = []
  const refused = new Set<unknown>()
  const seen: unknown[] = []
  let refuseAll = false
  let dataDir: string
  let mcpUrl: string

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'todo-refused-'))
    const port = await fourPorts()
    const [gatewayUrl, apiUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${port + 2}`]
    mcpUrl = `${gatewayUrl}/mcp`
    const client = {
      client_id: registration.clientId,
      client_secret: registration.clientSecret,
      redirect_uris: [`${gatewayUrl}/callback`],
      grant_types: ['authorization_code', 'refresh_token'],
    }
    const as = await startAuthorizationServer({ port: port + 1, dataDir, audience: apiUrl, clients: [client] })
    const isRevoked = ({ jti }: { jti?: string }) => {
      seen.push(jti)
      return refuseAll || refused.has(jti)
    }
    running.push(as, await startApi({ port: port + 2, dataDir, issuer: as.issuer, audience: apiUrl, isRevoked }))
    running.push(
      await startGateway({
        port,
        dataDir,
        issuer: as.issuer,
        ...registration,
        apiUrl,
        runtimeUrl: 'local',
        workerSecret: 'the-worker-secret-of-this-test',
        log: false,
      }),
    )
  })
  afterAll(async () => {
    for (const each of running.reverse()) await each.close()
    await rm(dataDir, { recursive: true })
  })

  it('is refreshed once and the call goes through; refused again, the user has to sign in', async () => {
    const oauth = new TestOAuthProvider({ kind: 'dynamic' })
    const client = clientV2(mcpUrl, oauth)
    const signIn = async () => {
      expect(isUnauthorized(await client.connect().catch((error) => error))).toBe(true)
      await client.finishAuth(callbackOf(await new Browser(oauth.redirectUrl).authorize(String(oauth.authorizationUrl), { user: 'ann' })))
      await client.connect()
    }
    await signIn()
    expect(await client.callTool('list_todos')).toMatchObject({ isError: false })
    const [first] = seen
    refused.add(first)
    expect(await client.callTool('list_todos')).toMatchObject({ isError: false })
    const [, again, second] = seen
    expect(again).toBe(first)
    expect(second).not.toBe(first)
    expect(seen).toHaveLength(3)

    refuseAll = true
    expect(isUnauthorized(await client.callTool('list_todos').catch((error) => error))).toBe(true)
    refuseAll = false
    await signIn()
    expect(await client.callTool('list_todos')).toMatchObject({ isError: false })
    await client.close()
  }, 60_000)
})
