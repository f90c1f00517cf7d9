import type { Readable } from 'node:stream'
import { GatewayError } from '../errors/errors.ts'

/**
 * Reads an answer of the runtime whole, before the head of ours goes out: a body that breaks off can then still become words (refusals.md).
 *
 * @param idleMs longest pause between two pieces
 * @throws GatewayError `runtime_died`, `runtime_timeout`, `runtime_invalid` beyond `maxBytes`
 */
export function readWhole(body: Readable, maxBytes: number, idleMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const finish = (error?: GatewayError) => {
      clearTimeout(timer)
      body.off('data', onData).off('end', onEnd).off('close', onClose)
      if (error) {
        reject(error)
        body.destroy()
      } else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    }
    const timer = setTimeout(() => finish(new GatewayError('runtime_timeout', { reason: 'the body of the answer came to a halt' })), idleMs)
    const onData = (chunk: Buffer) => {
      timer.refresh()
      size += chunk.length
      chunks.push(chunk)
      if (size > maxBytes) finish(new GatewayError('runtime_invalid', { reason: `the answer is larger than ${maxBytes} bytes` }))
    }
    const onEnd = () => finish()
    const onClose = () => finish(new GatewayError('runtime_died', { reason: 'the body of the answer broke off' }))
    // 'close' follows, and is enough.
    body.on('error', () => {})
    if (body.destroyed && !body.readableEnded) return onClose()
    body.on('data', onData).on('end', onEnd).on('close', onClose)
  })
}
