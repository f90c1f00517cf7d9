import { KeyvMysql } from '@keyv/mysql'
import { KeyvPostgres } from '@keyv/postgres'
import KeyvRedis, { createCluster } from '@keyv/redis'
import KeyvValkey from '@keyv/valkey'
import { Keyv } from 'keyv'
import { Keyv as Keyv5 } from 'keyv5'
import { Pool } from 'pg'
import { openStore, type StoreOption } from '../../src/store/open-store.ts'
import { loadPeer } from '../../src/store/peer.ts'
import type { Store } from '../../src/store/store.ts'
import { sentinelGroup } from '../servers/redis-sentinel.ts'

const nodeAt = (port: number) => ({ url: `redis://127.0.0.1:${port}` })

type Iovalkey = { Redis: new (options: object) => never; Cluster: new (nodes: object[], options: object) => never }
const iovalkey = () => loadPeer<Iovalkey>('iovalkey', '@keyv/valkey')
const hostAt = (port: number) => ({ host: '127.0.0.1', port })
const valkeyCluster = (ports: number[]) => new (iovalkey().Cluster)(ports.map(hostAt), { lazyConnect: true })
const valkeyBehindSentinels = (ports: number[]) => new (iovalkey().Redis)({ sentinels: ports.map(hostAt), name: sentinelGroup, lazyConnect: true })

/** How a team may come to each backend. */
export const kinds = {
  'redis, keyv 6': ([port]) => new Keyv({ store: new KeyvRedis(`redis://127.0.0.1:${port}`) as never }),
  'redis, keyv 5': ([port]) => new Keyv5(new KeyvRedis(`redis://127.0.0.1:${port}`)),
  'redis, address': ([port]) => `redis://127.0.0.1:${port}`,
  'redis cluster, keyv 6': (ports) => new Keyv({ store: new KeyvRedis(createCluster({ rootNodes: ports.map(nodeAt) }) as never) as never }),
  'redis cluster, keyv 5': (ports) => new Keyv5(new KeyvRedis(createCluster({ rootNodes: ports.map(nodeAt) }) as never)),
  'valkey, keyv 6': ([port]) => new Keyv({ store: new KeyvValkey(`redis://127.0.0.1:${port}`) as never }),
  'valkey, keyv 5': ([port]) => new Keyv5(new KeyvValkey(`redis://127.0.0.1:${port}`) as never),
  'valkey cluster, keyv 5': (ports) => new Keyv5(new KeyvValkey(valkeyCluster(ports)) as never),
  'redis behind sentinels, @keyv/valkey': (ports) => new Keyv({ store: new KeyvValkey(valkeyBehindSentinels(ports)) as never }),
  'postgres, keyv 6': ([port]) => new Keyv({ store: new KeyvPostgres({ uri: `postgresql://app@127.0.0.1:${port}/postgres`, max: 4 }) as never }),
  'postgres, keyv 5': ([port]) => new Keyv5(new KeyvPostgres({ uri: `postgresql://app@127.0.0.1:${port}/postgres`, max: 4 })),
  'postgres, own pool': ([port]) => new Pool({ connectionString: `postgres://app@127.0.0.1:${port}/postgres`, max: 4 }),
  'postgres, address': ([port]) => `postgres://app@127.0.0.1:${port}/postgres`,
  'mariadb, keyv 6': ([port]) => new Keyv({ store: new KeyvMysql({ uri: `mysql://app@127.0.0.1:${port}/app`, connectionLimit: 4 } as never) as never }),
  'mariadb, keyv 5': ([port]) => new Keyv5(new KeyvMysql({ uri: `mysql://app@127.0.0.1:${port}/app`, connectionLimit: 4 } as never)),
} satisfies Record<string, (ports: number[]) => unknown>

/** Name of one of {@link kinds}. */
export type Kind = keyof typeof kinds

/** Opens a store on servers at these ports of loopback, as a team's process does, whose own the Keyv or pool stays. */
export function openKind(kind: Kind, ports: number[], ms: number): Store {
  return openStore(kinds[kind](ports) as StoreOption, ms)
}

/** Opens a store on servers at these ports of loopback. Its `close` ends the Keyv or pool too, which in a team's process is the team's to end. */
export function openBackend(kind: Kind, ports: number[], ms: number): Store {
  const option = kinds[kind](ports) as StoreOption
  const store = openStore(option, ms)
  let closing: Promise<void> | undefined
  const close = async () => {
    await store.close()
    await endOf(option)
  }
  return {
    ...store,
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

async function endOf(option: unknown): Promise<void> {
  if (option instanceof Pool) return option.end()
  if (!(option instanceof Keyv || option instanceof Keyv5)) return
  // @keyv/mysql connects at its creation, and cannot be ended in the middle of that.
  const adapters: unknown[] = [option.store, (option.store as { store?: unknown }).store]
  for (const adapter of adapters) if (adapter instanceof KeyvMysql) await adapter.query('SELECT 1').catch(() => undefined)
  await option.disconnect()
}

/** Opens the store that this module's own URL names, `open-backend.ts?kind=…&ports=…`: for processes of the store contract. */
export function open(): Store {
  const { searchParams } = new URL(import.meta.url)
  return openBackend(searchParams.get('kind') as Kind, (searchParams.get('ports') ?? '').split(',').map(Number), 20_000)
}
