import { createClient } from '@keyv/redis'
import { startReplicas } from '../replicas/start.ts'

const redis = {
  name: 'Redis',
  variable: 'REDIS_URL',
  defaultAddress: 'redis://127.0.0.1:6379',
  async ping(url: string) {
    const client = createClient({ url, socket: { connectTimeout: 3_000, reconnectStrategy: false } })
    // What goes wrong, `connect` says too.
    client.on('error', () => undefined)
    await client.connect()
    await client.ping()
    client.destroy()
  },
}

process.exit(await startReplicas(import.meta.dirname, redis))
