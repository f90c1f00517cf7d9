import { KeyvPostgres } from '@keyv/postgres'
import { Keyv } from 'keyv'
import { openStore } from '../../src/store/open-store.ts'

/*
 * A process that has used PostgreSQL through a Keyv and now waits: by the Keyv itself (`bare`), or by the gateway's store over it (`store`). It answers a
 * message by one read.
 */
const [how, port] = process.argv.slice(2)
const keyv = new Keyv({ store: new KeyvPostgres({ uri: `postgresql://app@127.0.0.1:${port}/postgres` }) as never })
keyv.on('error', () => undefined)
const reader = how === 'bare' ? keyv : openStore(keyv, 1_000)
await reader.set('kept', 'value', 60_000)
process.on('message', () => {
  reader.get('kept').then(
    (value) => process.send?.(value),
    (error: Error) => process.send?.(error.message),
  )
})
process.send?.('ready')
