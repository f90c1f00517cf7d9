import { createGateway } from '@emcy/gateway'
import express from 'express'
import { Pool } from 'pg'
import { gatewayOptions, nameProcess } from '../replicas/gateway-options.ts'
import { serveApp } from '../todo/gateway.ts'
import { runAsProcess } from '../todo/process.ts'

// One gateway process of several: an Express 5 app, and one PostgreSQL that all of them share, through the app's own pool.
await runAsProcess(async (setting) => {
  const pool = new Pool({ connectionString: setting('DATABASE_URL'), max: 10 })
  const gateway = createGateway({ ...gatewayOptions(setting), store: pool, replicas: 'many' })
  const app = express()
  app.use(nameProcess(setting))
  app.use(gateway)
  const { url, close } = await serveApp(app, gateway, 0)
  return {
    url,
    close: async () => {
      await close()
      await pool.end()
    },
  }
})
