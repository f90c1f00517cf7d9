import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { Browser, callbackOf } from '../harness/browser.ts'
import { clientV2, isUnauthorized } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { freePorts } from '../harness/ports.ts'
import { startProgram } from '../harness/process.ts'

const file = join(import.meta.dirname, '../../examples/quick-start/server.ts')

describe('quick start', () => {
  it('is under thirty lines', async () => {
    expect((await readFile(file, 'utf8')).trimEnd().split('\n').length).toBeLessThan(30)
  })

  it('lets a client register, be allowed and call the tool', async () => {
    const [port] = await freePorts(1)
    const url = `http://127.0.0.1:${port}/mcp`
    const metadata = `http://127.0.0.1:${port}/.well-known/oauth-protected-resource/mcp`
    const app = await startProgram(process.execPath, [file], {
      url,
      env: { PORT: String(port) },
      isReady: async () => ((await (await fetch(metadata)).json()) as { resource: string }).resource === url,
    })
    const oauth = new TestOAuthProvider({ kind: 'dynamic' })
    const client = clientV2(url, oauth)
    expect(isUnauthorized(await client.connect().catch((error) => error))).toBe(true)
    const browser = new Browser(oauth.redirectUrl)
    await client.finishAuth(callbackOf(await browser.authorize(String(oauth.authorizationUrl), { user: 'nobody asks' })))
    await client.connect()
    expect(await client.listTools()).toEqual(['hello'])
    expect(await client.callTool('hello')).toEqual({ isError: false, text: 'Hello!' })
    await client.close()
    await app.stop()
    expect(app.output()).toContain(`Emcy Gateway ready ${url}`)
  })
})
