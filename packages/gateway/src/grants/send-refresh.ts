import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { CustomFetchOptions } from 'openid-client'

/**
 * Sends a request of which one look at the clock decides whether it may leave at all: `beforeSend` runs when the connection stands and the next thing is the write. `fetch` has no such
 * place, and a process that is stopped between the look and the write sends what another has sent meanwhile.
 *
 * @param beforeSend a throw keeps the request here
 * @throws whatever `beforeSend` throws, the signal's reason, or the failure of the connection
 */
export function sendRefresh(url: string, options: CustomFetchOptions, signal: AbortSignal | undefined, beforeSend: () => void): Promise<Response> {
  const body = Buffer.from(String(options.body ?? ''))
  const headers = { ...Object.fromEntries(new Headers(options.headers)), 'content-length': String(body.length) }
  const isTls = new URL(url).protocol === 'https:'
  return new Promise((resolve, reject) => {
    const sent = (isTls ? tlsRequest : plainRequest)(url, { method: options.method, headers, ...(signal && { signal }) })
    sent.on('error', (error) => reject(signal?.aborted ? signal.reason : error))
    sent.on('response', (answer) => {
      const status = answer.statusCode as number
      const isEmpty = [204, 205, 304].includes(status)
      if (isEmpty) answer.resume()
      const fields = Object.entries(answer.headersDistinct).flatMap(([name, values = []]) => values.map((value): [string, string] => [name, value]))
      resolve(new Response(isEmpty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>), { status, headers: fields }))
    })
    sent.on('socket', (socket) => {
      whenConnected(socket, isTls, () => {
        try {
          beforeSend()
        } catch (error) {
          sent.destroy(error as Error)
          return
        }
        sent.end(body)
      })
    })
  })
}

/** One that was kept alive is connected already. */
function whenConnected(socket: Socket, isTls: boolean, go: () => void): void {
  if (socket.connecting) socket.once(isTls ? 'secureConnect' : 'connect', go)
  else go()
}
