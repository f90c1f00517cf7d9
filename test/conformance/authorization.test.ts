import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser } from '../harness/browser.ts'
import { packageFile, runScript } from '../harness/command.ts'
import { type DocumentServer, startDocumentServer } from '../harness/document-server.ts'
import { nativeClientMetadata } from '../harness/oauth-provider.ts'
import { freePorts } from '../harness/ports.ts'
import { ScriptedClient } from '../harness/scripted-client.ts'
import { preregistered, startTodo, type TodoWorld } from '../harness/todo.ts'

/*
 * The official conformance suite's `authorization` command against the Todo world. Its exit code hides skipped checks and warnings, so what counts is what it wrote of each
 * check; and all of them are named here, so that a suite that checks less does not pass.
 */

/** Scenario → the checks it has to make. */
const wanted = {
  'authorization-server-metadata-endpoint': ['authorization-server-metadata', 'authorization-server-metadata-cimd'],
  'authorization-code-grant': ['authorization-code-grant'],
}

interface Check {
  id: string
  status: string
  errorMessage?: string
  details?: { authorizationRequest?: string; authorizationResponseUrl?: string; body?: Record<string, unknown> }
}

let documents: DocumentServer
let world: TodoWorld
beforeAll(async () => {
  documents = await startDocumentServer()
  world = await startTodo({ runtime: 'local', caFile: documents.caFile })
}, 60_000)
afterAll(async () => {
  await world?.close()
  await documents?.close()
})

/** Runs the suite as a client, its user saying yes, and gives the checks of each scenario. */
async function conformance(clientId: string, port: number): Promise<{ output: string; code: number | null; checks: Record<string, Check[]> }> {
  const folder = await mkdtemp(join(tmpdir(), 'emcy-conformance-'))
  const visits: Promise<unknown>[] = []
  const visit = async (url: string) => {
    const { redirect } = await new Browser((target) => target.port === String(port)).authorize(url, { user: 'ann' })
    if (redirect !== undefined) await (await fetch(redirect)).text()
  }
  try {
    const { code, stdout, stderr } = await runScript(
      packageFile('@modelcontextprotocol/conformance/dist/index.js'),
      ['authorization', '--url', world.issuer, '--client-id', clientId, '--resource', world.mcpUrl, '-p', String(port), '-o', folder],
      {
        onOutput(text) {
          const url = /^\S+\/authorize\?\S+$/m.exec(text)?.[0]
          // The callback server is named last: before, nobody listens.
          if (url !== undefined && text.includes('Callback server started') && visits.length === 0) visits.push(visit(url))
        },
      },
    )
    await Promise.all(visits)
    return { output: stdout + stderr, code, checks: await checksIn(folder) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function checksIn(folder: string): Promise<Record<string, Check[]>> {
  const runs = await readdir(folder)
  const checks = runs.map(async (run): Promise<[string, Check[]]> => {
    const scenario = /^authorization-server-(.+?)-\d{4}-/.exec(run)?.[1] ?? run
    return [scenario, JSON.parse(await readFile(join(folder, run, 'checks.json'), 'utf8'))]
  })
  return Object.fromEntries(await Promise.all(checks))
}

const clients: Record<string, (redirectUri: string) => Promise<string>> = {
  preregistered: async () => preregistered.public.clientId,
  DCR: async (redirectUri) =>
    (await new ScriptedClient(world.issuer, world.mcpUrl).register({ ...nativeClientMetadata, redirect_uris: [redirectUri] })).clientId,
  CIMD: async (redirectUri) => documents.publish('conformance.json', { client_name: 'Conformance', redirect_uris: [redirectUri] }),
}

describe("AS-1 AS-2 CR-1 CR-2: the official conformance suite's authorization command", () => {
  it.each(Object.keys(clients))(
    'every check of both scenarios passes with a %s client',
    async (kind) => {
      const [port = 0] = await freePorts(1)
      const clientId = (await clients[kind]?.(`http://127.0.0.1:${port}/callback`)) ?? ''
      const { output, code, checks } = await conformance(clientId, port)
      const outcomes = Object.fromEntries(Object.entries(checks).map(([scenario, made]) => [scenario, made.map(({ id, status }) => `${id}: ${status}`)]))
      expect(outcomes).toEqual(Object.fromEntries(Object.entries(wanted).map(([scenario, ids]) => [scenario, ids.map((id) => `${id}: SUCCESS`)])))
      expect(Object.values(checks).flatMap((made) => made.flatMap(({ errorMessage }) => errorMessage ?? []))).toEqual([])
      expect(output).toContain('Total: 3 passed, 0 failed')
      expect(output).not.toMatch(/warning|skipped|✗/i)
      expect(code).toBe(0)

      // The checks were made with this client, and through to its tokens.
      const details = checks['authorization-code-grant']?.[0]?.details ?? {}
      expect(new URL(details.authorizationRequest ?? '').searchParams.get('client_id')).toBe(clientId)
      expect(new URL(details.authorizationResponseUrl ?? '').searchParams.get('iss')).toBe(world.issuer)
      expect(details.body).toMatchObject({ token_type: 'Bearer', scope: 'todos.read todos.write' })
      const issued = world.events().filter(({ event, outcome, clientId: to }) => event === 'authorization.token' && outcome === 'issued' && to === clientId)
      expect(issued).toHaveLength(1)
    },
    90_000,
  )
})
