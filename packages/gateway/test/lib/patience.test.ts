import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from '@jest/globals'
import { patience } from '../../src/lib/patience.ts'

it('is over after its time, and not before', async () => {
  const startedAt = performance.now()
  const { signal } = patience(300)
  await once(signal, 'abort')
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(295)
  expect(signal.reason).toMatchObject({ name: 'TimeoutError' })
})

it('never is once it has ended', async () => {
  const { signal, end } = patience(50)
  end()
  await pause(200)
  expect(signal.aborted).toBe(false)
})

const asker = `
  const [module, url] = process.argv.slice(1)
  const { patience } = await import(module)
  const { signal } = patience(1000)
  const asked = fetch(url, { signal })
  console.log(await asked.then((answer) => answer.text(), (error) => error.name))
  process.exit(0)
`

it('leaves a process that stood still for longer the time to read what has arrived meanwhile', async () => {
  let asked: () => void = () => undefined
  const arrived = new Promise<void>((resolve) => {
    asked = resolve
  })
  let answer: () => void = () => undefined
  const server = createServer((_req, res) => {
    answer = () => res.end('the answer')
    asked()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const module = new URL('../../src/lib/patience.ts', import.meta.url).href
  const child = spawn(process.execPath, ['--input-type=module', '--eval', asker, module, url], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    await arrived
    child.kill('SIGSTOP')
    answer()
    await pause(3_000)
    const ended = once(child, 'exit')
    child.kill('SIGCONT')
    await ended
    expect(said.trim()).toBe('the answer')
  } finally {
    child.kill('SIGKILL')
    server.close()
  }
})
