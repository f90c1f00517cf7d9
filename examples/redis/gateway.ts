import { createGateway } from '@emcy/gateway'
import KeyvRedis from '@keyv/redis'
import express from 'express'
import { Keyv } from 'keyv'
import { gatewayOptions, nameProcess } from '../replicas/gateway-options.ts'
import { serveApp } from '../todo/gateway.ts'
import { runAsProcess } from '../todo/process.ts'

// One gateway process of several: an Express 5 app, and one Redis that all of them share.
await runAsProcess(async (setting) => {
  const gateway = createGateway({
    ...gatewayOptions(setting),
    store: new Keyv({ store: new KeyvRedis(setting('REDIS_URL')) }),
    replicas: 'many',
  })
  const app = express()
  app.use(nameProcess(setting))
  app.use(gateway)
  return serveApp(app, gateway, 0)
})
