import { Client } from 'pg'
import { startReplicas } from '../replicas/start.ts'

const postgres = {
  name: 'PostgreSQL',
  variable: 'DATABASE_URL',
  defaultAddress: 'postgres://postgres@127.0.0.1:5432/postgres',
  async ping(connectionString: string) {
    const client = new Client({ connectionString, connectionTimeoutMillis: 3_000 })
    await client.connect()
    await client.end()
  },
}

process.exit(await startReplicas(import.meta.dirname, postgres))
