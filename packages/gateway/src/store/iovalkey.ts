import type { RedisConnection } from './redis-link.ts'

/** What the gateway uses of a client of iovalkey, alone or of a cluster. */
export interface IovalkeyClient {
  readonly isCluster?: boolean
  readonly options: { redisOptions?: object }
  duplicate(...overrides: unknown[]): IovalkeyClient
  connect(): Promise<unknown>
  call(command: string, ...values: string[]): Promise<unknown>
  once(event: 'ready', listener: () => void): unknown
  on(event: 'error', listener: (error: unknown) => void): unknown
  disconnect(): void
}

/** Longest pause between two attempts to connect, in milliseconds. */
const longestPauseMs = 500

/** Whether a value is a client of iovalkey. */
export function isIovalkey(value: unknown): value is IovalkeyClient {
  if (typeof value !== 'object' || value === null || !('options' in value)) return false
  return ['duplicate', 'connect', 'call', 'once', 'on', 'disconnect'].every((method) => typeof (value as Record<string, unknown>)[method] === 'function')
}

/**
 * A client like the given one, but of the gateway's own. It never sends a command a second time: the first may have been carried out before its connection
 * broke, and a second GETDEL would read "absent".
 */
export function openIovalkey(like: IovalkeyClient, waitMs: number): RedisConnection {
  const pause = (attempts: number) => Math.min(25 * 2 ** attempts, longestPauseMs) * (0.75 + Math.random() / 4)
  const alone = {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: waitMs,
    retryStrategy: pause,
    lazyConnect: true,
    stringNumbers: false,
    // A sentinel that hangs must not keep the others from being asked.
    sentinelCommandTimeout: Math.ceil(waitMs / 4),
  }
  const client = like.isCluster
    ? like.duplicate([], {
        redisOptions: { ...like.options.redisOptions, ...alone },
        enableOfflineQueue: false,
        clusterRetryStrategy: pause,
        retryDelayOnFailover: 0,
        lazyConnect: true,
      })
    : like.duplicate(alone)
  client.on('error', () => undefined)
  const ready = new Promise<void>((resolve) => {
    client.once('ready', resolve)
  })
  // It goes on trying by itself; its first failure is no reason to give up.
  client.connect().catch(() => undefined)
  return {
    ready,
    // In lower case: iovalkey knows by it which values are keys, and sends what it does not know to any node of a cluster.
    send: (_, [command = '', ...values]) => client.call(command.toLowerCase(), ...values),
    destroy: () => client.disconnect(),
  }
}
