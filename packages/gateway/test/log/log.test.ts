import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { LogEvent, McpRequestEvent } from '../../src/log/events.ts'
import { createLog } from '../../src/log/logger.ts'
import type { LogOption } from '../../src/log/sink.ts'

const request: McpRequestEvent = {
  event: 'mcp.request',
  level: 'info',
  requestId: 'r1',
  server: 'todo',
  httpMethod: 'POST',
  httpStatus: 200,
  bytesIn: 1,
  bytesOut: 2,
  ms: { total: 3 },
}

/** Writes events and gives what the sink got. */
async function written(events: LogEvent[], secrets: string[] = []): Promise<LogEvent[]> {
  const got: LogEvent[] = []
  const log = createLog(
    (event) => void got.push(event),
    () => 42,
    secrets,
  )
  for (const event of events) log.write(event)
  await log.flush(1000)
  return got
}

describe('cleaning', () => {
  it('passes a whole event, with the time', async () => {
    const whole: McpRequestEvent = {
      ...request,
      traceId: 't',
      subject: 'https://idp.example|ann',
      clientId: 'c',
      connectionId: 'k',
      method: 'tools/call',
      tool: 'add',
      revision: '2026-07-28',
      decision: 'deny',
      rule: 'server rule 1',
      dryRun: ['a', 'b'],
      budgets: [{ name: 'calls', cost: 1, left: 0, refused: true, dryRun: true, uncounted: true }],
      rpcCode: -31001,
      error: 'call_denied',
      reason: 'why',
      clientGone: true,
      ms: { total: 5, authorize: 1, policy: 0, budget: 1, grant: 2, runtime: 1 },
    }
    expect(await written([whole])).toEqual([{ ...whole, time: 42 }])
    const others: LogEvent[] = [
      {
        event: 'authorization.token',
        level: 'info',
        outcome: 'issued',
        grantType: 'refresh_token',
        scopes: ['a'],
        requestId: 'x',
        server: 's',
        subject: 'u',
        clientId: 'c',
        connectionId: 'k',
        reason: 'r',
      },
      { event: 'grant.refreshed', level: 'info', provider: 'p', connectionId: 'k', subject: 'u', ms: 3 },
      { event: 'gateway.started', level: 'info', message: 'm', requestId: 'x', reason: 'r' },
    ]
    expect(await written(others)).toEqual(others.map((event) => ({ ...event, time: 42 })))
  })

  it('drops every field that is not on the list, inside as well', async () => {
    const sneaky = {
      ...request,
      authorization: 'Bearer x',
      arguments: { a: 1 },
      headers: {},
      ms: { total: 1, token: 'x' },
      budgets: [{ name: 'n', cost: 1, left: 1, key: 'k' }],
    }
    expect(await written([sneaky as unknown as LogEvent])).toEqual([{ ...request, ms: { total: 1 }, budgets: [{ name: 'n', cost: 1, left: 1 }], time: 42 }])
  })

  it('cuts names at 128 characters and escapes what would act in a terminal or a log', async () => {
    const [event] = (await written([{ ...request, tool: `a\nb\u001b[31m\u202e\u2028\u200b${'x'.repeat(500)}`, method: 'x'.repeat(128) }])) as McpRequestEvent[]
    expect(event?.tool).toHaveLength(128)
    expect(event?.tool?.startsWith('a\\u000ab\\u001b[31m\\u202e\\u2028\\u200bxxx')).toBe(true)
    expect(event?.tool?.endsWith('…')).toBe(true)
    expect(event?.method).toBe('x'.repeat(128))
  })

  it('never lets a control character or a lone surrogate through', async () => {
    const names = fc.string({ unit: 'binary', maxLength: 200 }).chain((text) => fc.constantFrom(text, `${text}\ud83d`, `\r\n${text}`))
    await fc.assert(
      fc.asyncProperty(names, async (tool) => {
        const [event] = (await written([{ ...request, tool }])) as McpRequestEvent[]
        expect(event?.tool).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
        expect(event?.tool?.isWellFormed()).toBe(true)
        expect(event?.tool?.length).toBeLessThanOrEqual(128)
      }),
      { numRuns: 300 },
    )
  })

  const planted: [what: string, text: string, secret: string][] = [
    ['an access token of ours', 'token emcy_at_abc.1.RANDOM-random_43.mac-22 refused', 'RANDOM-random_43'],
    ['a refresh token of ours', 'emcy_rt_abc.1.RANDOM.mac', 'RANDOM'],
    ['a code of ours', 'code=emcy_ac_abc.0.RANDOM.mac', 'RANDOM'],
    ['a JWT', `downstream said eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl`, 'eyJzdWIiOiJhbm4ifQ'],
    ['a bearer header', 'sent Authorization: Bearer opaque-downstream-token', 'opaque-downstream-token'],
    ['a basic header', 'sent authorization: basic ZW1jeTpzZWNyZXQ=', 'ZW1jeTpzZWNyZXQ='],
    ['a query string', 'GET https://login.example.com/callback?code=abc&state=def failed', 'abc'],
    ['a fragment', 'at https://login.example.com/cb#access_token=xyz', 'xyz'],
    ['a configured secret', 'cannot use "configured-worker-secret" here', 'configured-worker-secret'],
  ]
  it.each(planted)('removes %s, wherever it stands', async (_what, text, secret) => {
    const events: LogEvent[] = [
      {
        ...request,
        tool: text,
        method: text,
        clientId: text,
        subject: text,
        reason: text,
        rule: text,
        dryRun: [text],
        budgets: [{ name: text, cost: 1, left: 1 }],
      },
      { event: 'authorization.callback', level: 'error', outcome: text, reason: text, scopes: [text] },
      { event: 'grant.refresh_failed', level: 'warn', provider: text, reason: text },
      { event: 'gateway.error', level: 'error', message: text, reason: text },
    ]
    const got = JSON.stringify(await written(events, ['configured-worker-secret']))
    expect(JSON.stringify(events)).toContain(secret)
    expect(got).not.toContain(secret)
    expect(JSON.parse(got)).toHaveLength(4)
  })
})

describe('sinks', () => {
  it('hands events to a logger by level, with their name', async () => {
    const got: unknown[] = []
    const take = (level: string) => (event: LogEvent, message: string) => got.push([level, event.level, message])
    const log = createLog({ info: take('info'), warn: take('warn'), error: take('error') }, () => 1)
    log.write(request)
    log.write({ event: 'gateway.warning', level: 'warn', message: 'w' })
    log.write({ event: 'gateway.error', level: 'error', message: 'e' })
    await log.flush(1000)
    expect(got).toEqual([
      ['info', 'info', 'mcp.request'],
      ['warn', 'warn', 'gateway.warning'],
      ['error', 'error', 'gateway.error'],
    ])
  })

  it('never calls the sink within write', async () => {
    let called = false
    const log = createLog(
      () => {
        called = true
      },
      () => 1,
    )
    log.write(request)
    expect(called).toBe(false)
    await log.flush(1000)
    expect(called).toBe(true)
  })

  it('writes nothing at all with false', async () => {
    const log = createLog(false, () => 1)
    log.write(request)
    await log.flush(1000)
    expect(log.dropped).toBe(0)
  })

  it.each<[string, LogOption]>([
    [
      'throws',
      () => {
        throw new Error('sink')
      },
    ],
    ['rejects', () => Promise.reject(new Error('sink'))],
  ])('counts what a sink that %s loses', async (_how, sink) => {
    const log = createLog(sink, () => 1)
    for (let n = 0; n < 5; n++) log.write(request)
    await log.flush(1000)
    expect(log.dropped).toBe(5)
  })

  it('keeps a bounded queue before a sink that hangs, and reports the loss when it goes on', async () => {
    let goOn = () => {}
    const hanging = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const got: LogEvent[] = []
    const log = createLog(
      async (event) => {
        await hanging
        got.push(event)
      },
      () => 1,
    )
    for (let n = 0; n < 5000; n++) log.write(request)
    expect(log.dropped).toBe(3000)
    goOn()
    await log.flush(5000)
    expect(got).toHaveLength(2001)
    expect(got).toContainEqual({ event: 'gateway.warning', level: 'warn', time: 1, message: '3000 log events were lost: the sink was too slow or failed' })
  })

  it('gives up a sink that hangs when it is flushed', async () => {
    const log = createLog(
      () => new Promise(() => {}),
      () => 1,
    )
    for (let n = 0; n < 20; n++) log.write(request)
    await log.flush(50)
    expect(log.dropped).toBe(4)
  })
})

describe('streams', () => {
  const run = async (option: string): Promise<{ out: string; err: string }> => {
    const program = `
      const { createLog } = await import(${JSON.stringify(fileURLToPath(new URL('../../src/log/logger.ts', import.meta.url)))})
      const log = createLog(${option}, () => 7)
      log.write(${JSON.stringify(request)})
      log.write({ event: 'gateway.warning', level: 'warn', message: 'careful\\nnow', reason: 'r' })
      await log.flush(1000)`
    const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    expect((await once(child, 'close'))[0]).toBe(0)
    return { out, err }
  }
  it('writes one JSON line an event with stdout', async () => {
    const { out, err } = await run(`'stdout'`)
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { ...request, time: 7 },
      { event: 'gateway.warning', level: 'warn', time: 7, message: 'careful\\u000anow', reason: 'r' },
    ])
    expect(err).toBe('')
  })
  it('writes its own troubles alone to stderr when left out', async () => {
    expect(await run('undefined')).toEqual({ out: '', err: '[emcy-gateway] warning: careful\\u000anow (r)\n' })
  })
})
