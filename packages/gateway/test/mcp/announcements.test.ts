import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { GatewayOptions } from '../../src/options/gateway-options.ts'
import { type HttpListener, startHttpListener } from '../runtime/http-listener.ts'
import { mirrored, modern, rpc, startWorld, type World } from './given.ts'

let runtime: HttpListener
const worlds: World[] = []
beforeEach(async () => {
  runtime = await startHttpListener()
})
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
  await runtime.close()
})

async function start(gateway: Partial<GatewayOptions> = {}): Promise<{ world: World; token: string }> {
  const world = await startWorld({ runtime: runtime.url, gateway })
  worlds.push(world)
  return { world, token: (await world.connect()).token }
}

/** A runtime that answers with this result, as text. */
const says = (result: string, as: 'json' | 'sse'): HttpListener['answer'] => {
  return (_req, res, body) => {
    const { id } = JSON.parse(body.toString() || '{}') as { id?: unknown }
    const message = `{"jsonrpc":"2.0", "id":${JSON.stringify(id ?? null)},"result":${result}}`
    res.writeHead(200, { 'content-type': as === 'json' ? 'application/json' : 'text/event-stream' }).end(as === 'json' ? message : `data: ${message}\n\n`)
  }
}
const dataOf = (text: string) => JSON.parse(text.replace(/^data: /, ''))
const discover = (world: World, token: string) => world.ask(token, modern('server/discover'), mirrored('server/discover'))
const oauth = 'io.modelcontextprotocol/oauth-client-credentials'
const enterprise = 'io.modelcontextprotocol/enterprise-managed-authorization'
const tasks = 'io.modelcontextprotocol/tasks'

for (const as of ['json', 'sse'] as const) {
  describe(`TR-20: the versions that are announced, ${as}`, () => {
    it('are those that runtime and gateway both speak', async () => {
      const { world, token } = await start()
      runtime.answer = says('{"supportedVersions":["2027-01-01","2026-07-28","2025-11-25","2024-11-05"],"capabilities":{"tools":{}},"ttlMs":1.0}', as)
      const { status, text } = await discover(world, token)
      expect([status, dataOf(text).result]).toEqual([200, { supportedVersions: ['2026-07-28', '2025-11-25'], capabilities: { tools: {} }, ttlMs: 1 }])
      // Numbers stay as they were written.
      expect(text).toContain('"ttlMs":1.0')
    })

    it('pass byte for byte where nothing has to go', async () => {
      const { world, token } = await start()
      const result = '{ "supportedVersions" : ["2026-07-28"],"capabilities":{"extensions":{"com.example/x":{"n":1.0}}}}'
      runtime.answer = says(result, as)
      expect((await discover(world, token)).text).toContain(result)
    })

    it('a version without an initialize cannot come of one', async () => {
      const { world, token } = await start()
      const initialize = (id: number) => rpc('initialize', id, { protocolVersion: '2026-07-28', capabilities: {} })
      for (const version of ['2026-07-28', '2027-01-01']) {
        runtime.answer = says(`{"protocolVersion":"${version}","capabilities":{}}`, as)
        const { text } = await world.ask(token, initialize(3))
        expect(dataOf(text)).toMatchObject({ id: 3, error: { code: -31004, data: { error: 'runtime_invalid' } } })
      }
      const legacy = '{"protocolVersion" : "2025-11-25","capabilities":{}}'
      runtime.answer = says(legacy, as)
      expect((await world.ask(token, initialize(4))).text).toContain(legacy)
    })
  })

  describe(`EX-2: the extensions that are announced, ${as}`, () => {
    it('about authorization are the gateway’s, the others the runtime’s', async () => {
      const service = { clientId: 'nightly', clientSecret: 'a-secret-of-the-nightly-job-000000', name: 'Nightly', service: true }
      const { world, token } = await start({
        clients: { preregistered: [service] },
        enterprise: { issuers: { 'https://idp.example.com': { jwksUri: 'https://idp.example.com/keys' } } },
      })
      runtime.answer = says(`{"supportedVersions":["2026-07-28"],"capabilities":{"extensions":{"${tasks}":{"list":{}},"${oauth}":{"theirs":true}}}}`, as)
      expect(dataOf((await discover(world, token)).text).result.capabilities).toEqual({ extensions: { [tasks]: { list: {} }, [oauth]: {}, [enterprise]: {} } })
    })

    it('are taken from a runtime that announces what the gateway does not do', async () => {
      const { world, token } = await start()
      runtime.answer = says(`{"supportedVersions":["2026-07-28"],"capabilities":{"extensions":{"${enterprise}":{}},"tools":{}}}`, as)
      expect(dataOf((await discover(world, token)).text).result.capabilities).toEqual({ extensions: {}, tools: {} })
    })
  })
}

describe('TR-20 EX-2: what was kept for when the runtime is down', () => {
  it('says the same', async () => {
    const { world, token } = await start()
    runtime.answer = says(`{"supportedVersions":["2027-01-01","2026-07-28"],"capabilities":{"extensions":{"${oauth}":{}}},"cacheScope":"public"}`, 'json')
    const first = await discover(world, token)
    await runtime.close()
    const second = await discover(world, token)
    expect(second.json.result).toEqual(first.json.result)
    expect(second.json.result).toMatchObject({ supportedVersions: ['2026-07-28'], capabilities: { extensions: {} } })
  })

  it('an encoded answer passes, since no client survives a failure here', async () => {
    const { world, token } = await start()
    runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end(Buffer.from('opaque'))
    expect(await discover(world, token)).toMatchObject({ status: 200, headers: { 'content-encoding': 'gzip' }, text: expect.stringContaining('opaque') })
  })
})

describe('JR-23: schemas of tools', () => {
  it('pass as they are, and nothing is fetched that they point to', async () => {
    const elsewhere = await startHttpListener()
    try {
      const schema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"${elsewhere.url}/schema.json","$dynamicRef":"#x"}`
      const { world, token } = await start({ policy: { default: 'allow', rules: [] } })
      runtime.answer = says(`{"tools":[{"name":"a","inputSchema":${schema}}],"cacheScope":"private"}`, 'json')
      expect((await world.ask(token, modern('tools/list'), mirrored('tools/list'))).text).toContain(schema)
      const call = modern('tools/call', { name: 'a', arguments: { $ref: `${elsewhere.url}/argument.json` } })
      expect((await world.ask(token, call, mirrored('tools/call', 'a'))).status).toBe(200)
      expect(runtime.seen).toHaveLength(2)
      expect(elsewhere.seen).toEqual([])
    } finally {
      await elsewhere.close()
    }
  })
})
