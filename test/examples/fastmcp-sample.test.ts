import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { ensurePythonEnv } from '../../scripts/python-env.mjs'
import { freePorts } from '../harness/ports.ts'
import { type ServerProcess, startProgram } from '../harness/process.ts'
import { runtimeContract } from './runtime-contract.ts'
import { startTeam, type Team } from './team.ts'

const sample = join(import.meta.dirname, '../../examples/FastMCP.Sample')
const secret = 'the-worker-secret-of-this-test'

let team: Team
let runtime: ServerProcess
beforeAll(async () => {
  team = await startTeam()
  const [port] = await freePorts(1)
  const url = `http://127.0.0.1:${port}/mcp`
  runtime = await startProgram(await ensurePythonEnv(join(sample, 'requirements.txt')), [join(sample, 'server.py')], {
    url,
    env: { PORT: String(port), TODO_API_URL: team.api.url, EMCY_WORKER_SECRET: `the-next-secret,${secret}` },
    isReady: async () => (await fetch(url, { method: 'POST', headers: { 'x-emcy-worker-secret': secret } })).status !== 401,
  })
}, 120_000)
afterAll(async () => {
  await runtime.stop()
  await team.close()
})

describe('FastMCP sample', () => {
  runtimeContract(() => ({ url: runtime.url, secret, team }))

  it('accepts either secret while one replaces another', async () => {
    const headers = { 'x-emcy-worker-secret': 'the-next-secret' }
    const client = new Client({ name: 'test', version: '1' })
    await client.connect(new StreamableHTTPClientTransport(new URL(runtime.url), { requestInit: { headers } }))
    expect((await client.listTools()).tools).toHaveLength(4)
    await client.close()
  })

  it('does not start with an empty secret, which would admit everyone', async () => {
    const python = await ensurePythonEnv(join(sample, 'requirements.txt'))
    const start = startProgram(python, [join(sample, 'server.py')], {
      url: '',
      env: { PORT: '0', TODO_API_URL: team.api.url, EMCY_WORKER_SECRET: '' },
      isReady: async () => false,
    })
    await expect(start).rejects.toThrow(/the worker secret is empty/)
  })
})
