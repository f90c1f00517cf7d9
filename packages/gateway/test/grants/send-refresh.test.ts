import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { globalAgent } from 'node:https'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { startDocumentServer } from '../../../../test/harness/document-server.ts'
import { sendRefresh } from '../../src/grants/send-refresh.ts'

/** A token endpoint that is nothing but a socket: what reached it, and when somebody connected. */
async function rawEndpoint(answer: string | undefined) {
  const seen = { connections: 0, bytes: '' }
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    seen.connections++
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      seen.bytes += chunk.toString()
      if (answer !== undefined && seen.bytes.endsWith('refresh_token=a+b')) socket.write(answer)
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((closed) => server.close(closed))
  }
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token` }
}

let close: (() => Promise<void>) | undefined
afterEach(async () => {
  await close?.()
  close = undefined
})

const options = {
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
  body: new URLSearchParams({ refresh_token: 'a b' }),
  redirect: 'manual',
} as const
const nothing = () => undefined

describe('the request of a refresh', () => {
  it('looks at the clock when the connection stands, and then leaves whole', async () => {
    const { seen, url } = await rawEndpoint('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}')
    const looks: object[] = []
    const response = await sendRefresh(url, options, undefined, () => looks.push({ ...seen }))
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([200, 'application/json', '{}'])
    expect(looks).toEqual([{ connections: expect.any(Number), bytes: '' }])
    expect(seen.bytes).toMatch(/^POST \/token HTTP\/1\.1\r\n/)
    expect(seen.bytes).toContain('content-length: 17\r\n')
  })

  it('stays here when it is too late: not a byte goes out', async () => {
    const { seen, url } = await rawEndpoint(undefined)
    const late = new Error('the lease is nearly over')
    await expect(
      sendRefresh(url, options, undefined, () => {
        throw late
      }),
    ).rejects.toBe(late)
    expect(seen.bytes).toBe('')
  })

  it('ends with the reason of its signal, and with the failure of its connection', async () => {
    const { url } = await rawEndpoint(undefined)
    const abort = new AbortController()
    const reason = new DOMException('too long', 'TimeoutError')
    const pending = sendRefresh(url, options, abort.signal, () => setImmediate(() => abort.abort(reason)))
    await expect(pending).rejects.toBe(reason)
    await close?.()
    close = undefined
    await expect(sendRefresh(url, options, undefined, nothing)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('waits for TLS, and takes an answer without a body', async () => {
    const documents = await startDocumentServer()
    globalAgent.options.ca = await readFile(documents.caFile)
    try {
      let looked = 0
      const url = documents.publish('token', {}, { status: 204 })
      const response = await sendRefresh(url, options, undefined, () => looked++)
      expect([response.status, await response.text(), looked]).toEqual([204, '', 1])
      const stranger = sendRefresh(url.replace('localhost', '127.0.0.1'), { ...options, headers: {} }, undefined, () => looked++)
      expect((await stranger).status).toBe(204)
      delete globalAgent.options.ca
      globalAgent.destroy()
      await expect(sendRefresh(url, options, undefined, () => looked++)).rejects.toMatchObject({ code: expect.stringContaining('CERT') })
      // A server that cannot prove who it is gets no refresh token.
      expect(looked).toBe(2)
    } finally {
      delete globalAgent.options.ca
      await documents.close()
    }
  })
})
