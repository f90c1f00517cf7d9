import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import connect from 'connect'
import express from 'express'
import express4 from 'express4'
import { readContract, type WorkerContractOptions, workerContract } from '../../src/worker.ts'

let server: Server | undefined
afterEach(() => void server?.closeAllConnections())

const secret = 'a-worker-secret-1'

/** What a runtime answers: its contract as JSON. Headers go out as given, repeated ones included. */
async function ask(
  options: WorkerContractOptions,
  headers: string[],
  mount: 'http' | 'express' | 'express4' | 'connect' = 'http',
): Promise<{ status: number; body: unknown; challenge: string | undefined }> {
  const guard = workerContract(options)
  const answer = (req: Parameters<typeof guard>[0], res: Parameters<typeof guard>[1]) => res.end(JSON.stringify(readContract(req)))
  const listeners = {
    http: () => (req: Parameters<typeof guard>[0], res: Parameters<typeof guard>[1]) => guard(req, res, () => answer(req, res)),
    express: () => express().use(guard).use(answer),
    express4: () => express4().use(guard).use(answer),
    connect: () => connect().use(guard).use(answer),
  }
  server = createServer(listeners[mount]() as Parameters<typeof createServer>[1] as never)
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', method: 'POST', headers: ['host', 'x', ...headers] }, (res) => {
      let text = ''
      res.on('data', (chunk) => {
        text += chunk
      })
      res.on('end', () => {
        server?.close()
        resolve({ status: res.statusCode ?? 0, body: JSON.parse(text), challenge: res.headers['www-authenticate'] })
      })
    })
    sent.on('error', reject)
    sent.end()
  })
}

const good = [
  'X-Emcy-Worker-Secret',
  secret,
  'X-Emcy-Access-Token',
  'downstream',
  'X-Emcy-Subject',
  'ann',
  'X-Emcy-Client-Id',
  'c',
  'X-Emcy-Scopes',
  'read write',
  'X-Emcy-Request-Id',
  'r',
]
const contract = { accessToken: 'downstream', subject: 'ann', clientId: 'c', scopes: ['read', 'write'], requestId: 'r' }

describe('workerContract', () => {
  it.each(['http', 'express', 'express4', 'connect'] as const)('lets the gateway in and reads what it said, in %s', async (mount) => {
    expect(await ask({ secret }, good, mount)).toMatchObject({ status: 200, body: contract })
  })

  it('takes any of several secrets', async () => {
    expect((await ask({ secret: ['new-worker-secret', secret] }, good)).status).toBe(200)
  })

  it('knows other header names, in any case', async () => {
    const headers = { workerSecret: 'X-Our-Secret', accessToken: 'x-our-token' }
    expect(await ask({ secret, headers }, ['x-our-SECRET', secret, 'X-Our-Token', 't'])).toMatchObject({ status: 200, body: { accessToken: 't', scopes: [] } })
    expect((await ask({ secret, headers }, good)).status).toBe(401)
  })

  it('has no user where the server has no grants', async () => {
    expect((await ask({ secret }, ['x-emcy-worker-secret', secret])).body).toEqual({ scopes: [] })
  })

  it.each<[string, string[]]>([
    ['no secret', []],
    ['an empty one', ['x-emcy-worker-secret', '']],
    ['a wrong one', ['x-emcy-worker-secret', 'a-worker-secret-2']],
    ['a longer one', ['x-emcy-worker-secret', `${secret}1`]],
    ['two, one of them right', ['x-emcy-worker-secret', secret, 'x-emcy-worker-secret', 'x']],
    ['twice the right one', ['x-emcy-worker-secret', secret, 'X-Emcy-Worker-Secret', secret]],
    ['the right one under another spelling', ['x_emcy_worker_secret', secret]],
    ['the right one as a bearer token', ['authorization', `Bearer ${secret}`]],
  ])('refuses %s', async (_what, headers) => {
    expect(await ask({ secret }, headers)).toMatchObject({ status: 401, body: { error: 'unauthorized' }, challenge: 'Emcy-Worker-Secret' })
  })

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['empty', ''],
    ['an empty list', []],
    ['a list with an empty one', [secret, '']],
    ['a list with undefined', [secret, undefined]],
  ])('throws at creation when the secret is %s', (_what, given) => {
    expect(() => workerContract({ secret: given } as WorkerContractOptions)).toThrow(/secret/)
  })
})

describe('readContract', () => {
  it('throws for a request that nobody has checked', () => {
    expect(() => readContract({ rawHeaders: good } as never)).toThrow(/has not checked/)
  })
})
