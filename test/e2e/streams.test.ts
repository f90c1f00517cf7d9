import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { clientV1, clientV2, signIn, type TestClient } from '../harness/mcp-clients.ts'
import { type MoodyRuntime, startMoodyRuntime } from '../harness/moody-runtime.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { runPythonClient } from '../harness/python-client.ts'
import { ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let runtime: MoodyRuntime
let world: TodoWorld
let token: string

beforeAll(async () => {
  runtime = await startMoodyRuntime()
  world = await startTodo({ runtime: runtime.url })
  token = (await new ScriptedClient(world.issuer, world.mcpUrl).signIn('ann')).access_token
}, 60_000)
afterAll(async () => {
  await world?.close()
  await runtime?.stop()
})

const clients: Record<string, () => [TestClient, TestOAuthProvider]> = {
  'SDK v1': () => withProvider((provider) => clientV1(world.mcpUrl, provider)),
  'SDK v2 legacy': () => withProvider((provider) => clientV2(world.mcpUrl, provider, 'legacy')),
  'SDK v2 2026-07-28': () => withProvider((provider) => clientV2(world.mcpUrl, provider, { pin: '2026-07-28' })),
}

function withProvider(make: (provider: TestOAuthProvider) => TestClient): [TestClient, TestOAuthProvider] {
  const provider = new TestOAuthProvider({ kind: 'dynamic' })
  return [make(provider), provider]
}

/** The words with which a call failed: of an error, or of an error result. */
async function wordsOf(call: Promise<{ text: string; isError: boolean }>): Promise<string> {
  return call.then(
    (answer) => (answer.isError ? answer.text : `not an error: ${answer.text}`),
    (error: Error) => error.message,
  )
}

const failures: [string, RegExp][] = [
  ['die_in_stream', /ended before its answer was complete/],
  ['die_in_json', /ended before its answer was complete/],
  ['die_before_head', /ended before its answer was complete|cannot be reached/],
  ['html', /not MCP/],
  ['html_error', /not MCP/],
  ['empty', /not MCP|ended before its answer was complete/],
]

for (const [name, make] of Object.entries(clients)) {
  describe(`TR-7 TR-31 TR-35 JR-4: ${name} in front of a moody runtime`, () => {
    let client: TestClient
    beforeAll(async () => {
      const [made, provider] = make()
      client = made
      await signIn(client, provider, 'ann')
    })
    afterAll(() => client?.close())

    it('gets a streamed result event by event', async () => {
      const seen: number[] = []
      // The runtime sends the next event only after this client has the one before: a gateway that buffers never gets to the end.
      const result = client.callTool(
        'count',
        {},
        {
          onprogress: ({ progress }) => {
            seen.push(progress)
            runtime.release()
          },
        },
      )
      runtime.release()
      expect(await result).toEqual({ text: 'count is done', isError: false })
      expect(seen.slice(0, 2)).toEqual([1, 2])
    })

    for (const [tool, words] of failures) {
      it(`${tool}: says so, and the session goes on`, async () => {
        expect(await wordsOf(client.callTool(tool))).toMatch(words)
        expect(await client.callTool('fine')).toEqual({ text: 'fine is done', isError: false })
      })
    }

    it('a runtime that is down: says so, and the session goes on once it is back', async () => {
      await runtime.stop()
      const words = await wordsOf(client.callTool('fine'))
      await runtime.start()
      expect(words).toMatch(/cannot be reached/)
      expect(await client.callTool('fine')).toEqual({ text: 'fine is done', isError: false })
    })
  })
}

describe('TR-7 JR-4: fastmcp in front of a moody runtime', () => {
  for (const mode of ['auto', 'legacy']) {
    it(`${mode}: words for every failure, and a session that goes on`, async () => {
      const calls = failures.flatMap(([tool]) => [{ do: 'call', tool, timeout: 15 } as const, { do: 'call', tool: 'fine' } as const])
      const { outcomes } = await runPythonClient(world.mcpUrl, [{ do: 'connect' }, ...calls, { do: 'close' }], { token, mode })
      expect(outcomes).toHaveLength(calls.length + 2)
      failures.forEach(([, words], index) => {
        const [failed, fine] = [outcomes[1 + index * 2], outcomes[2 + index * 2]]
        expect(failed?.message ?? failed?.text).toMatch(words)
        expect(fine).toMatchObject({ text: 'fine is done', isError: false })
      })
    }, 120_000)

    it(`${mode}: a runtime that is down, then back`, async () => {
      const steps = [{ do: 'connect' }, { do: 'pause' }, { do: 'call', tool: 'fine' }, { do: 'pause' }, { do: 'call', tool: 'fine' }, { do: 'close' }] as const
      const turns = [() => runtime.stop(), () => runtime.start()]
      const { outcomes } = await runPythonClient(world.mcpUrl, [...steps], { token, mode, onPause: async () => turns.shift()?.() })
      expect(outcomes[2]?.message ?? outcomes[2]?.text).toMatch(/cannot be reached/)
      expect(outcomes[4]).toMatchObject({ text: 'fine is done', isError: false })
    }, 60_000)
  }
})

describe('TR-32: a client that leaves', () => {
  const message = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'wait', arguments: {} } })
  const headers = () => ({ authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' })

  it('is seen by the runtime within 100 ms', async () => {
    const delays: number[] = []
    for (let round = 0; round < 5; round++) {
      const [left, waiting, leaving] = [runtime.left, runtime.waiting, new AbortController()]
      const response = await fetch(world.mcpUrl, { method: 'POST', headers: headers(), body: message, signal: leaving.signal })
      expect(response.headers.get('content-type')).toBe('text/event-stream')
      await waiting
      const leftAt = performance.now()
      leaving.abort()
      delays.push((await left) - leftAt)
    }
    // The median, so that one pause of a busy machine does not decide.
    expect(delays.sort((a, b) => a - b)[2]).toBeLessThan(100)
  })

  it('by an abort of SDK v2 in 2026-07-28 as well', async () => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const client = clientV2(world.mcpUrl, provider, { pin: '2026-07-28' })
    await signIn(client, provider, 'ann')
    const [left, waiting, leaving] = [runtime.left, runtime.waiting, new AbortController()]
    const call = client.callTool('wait', {}, { signal: leaving.signal }).catch((error: Error) => error)
    await waiting
    leaving.abort()
    await left
    expect(await call).toBeInstanceOf(Error)
    expect(await client.callTool('fine')).toMatchObject({ isError: false })
    await client.close()
  })

  it('before the runtime answered is seen too, and nothing hangs', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () =>
        fetch(world.mcpUrl, { method: 'POST', headers: headers(), body: message, signal: AbortSignal.timeout(1) }).catch(() => 'aborted'),
      ),
    )
    expect(answers).toHaveLength(10)
    const after = await fetch(world.mcpUrl, { method: 'POST', headers: headers(), body: message.replace('wait', 'fine') })
    expect(await after.text()).toContain('fine is done')
  })
})
