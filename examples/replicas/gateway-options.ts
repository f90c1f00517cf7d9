import type { RequestHandler } from 'express'
import { todoGatewayFrom, todoGatewayOptions } from '../todo/gateway.ts'
import type { Setting } from '../todo/process.ts'

/** What is the same in every process, whatever the store: the public URL, the provider, the servers, and the secret that opens what any of them has sealed. */
export function gatewayOptions(setting: Setting) {
  return {
    ...todoGatewayOptions({ publicUrl: setting('PUBLIC_URL'), ...todoGatewayFrom(setting) }),
    secrets: [setting('GATEWAY_SECRET')],
  }
}

/** Says in each answer which process gave it, for whoever watches; the gateway needs no such thing. */
export function nameProcess(setting: Setting): RequestHandler {
  return (_req, res, next) => {
    res.setHeader('X-Answered-By', setting('REPLICA'))
    next()
  }
}
