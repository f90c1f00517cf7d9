import type { RedisConnection } from './redis-link.ts'

interface Emitter {
  on(event: 'error', listener: (error: unknown) => void): unknown
}

/** What the gateway uses of a client of node-redis 5 (`@redis/client`). */
export interface NodeRedisClient extends Emitter {
  readonly options?: { socket?: object }
  duplicate(overrides: object): NodeRedisClient
  connect(): Promise<unknown>
  sendCommand(command: string[]): Promise<unknown>
  destroy(): void
}

/** What the gateway uses of a cluster of node-redis 5. */
export interface NodeRedisCluster extends Emitter {
  readonly slots: unknown
  readonly _options?: { defaults?: { socket?: object } }
  duplicate(overrides: object): NodeRedisCluster
  connect(): Promise<unknown>
  sendCommand(firstKey: string, isReadonly: boolean, command: string[]): Promise<unknown>
  destroy(): void
}

/** Longest pause between two attempts to connect, in milliseconds: after a restart a user waits no longer than that. */
const longestPauseMs = 500

/**
 * A client like the given one, but of the gateway's own, with the settings that keep an outage from hanging or ending the process: no queue while there is
 * no connection, bounded time-outs and pauses, a listener for errors, no cache on this side.
 */
export function openNodeRedis(like: NodeRedisClient | NodeRedisCluster, waitMs: number): RedisConnection {
  return isNodeRedisCluster(like) ? openCluster(like, waitMs) : openClient(like, waitMs)
}

/** Whether a client of node-redis is one of a cluster. */
export function isNodeRedisCluster(client: NodeRedisClient | NodeRedisCluster): client is NodeRedisCluster {
  return 'slots' in client
}

/** Whether a value is node-redis' client of Redis Sentinel, whose commands cannot be kept from being sent twice. */
export function isNodeRedisSentinel(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'getSentinelNode' in value
}

/** Whether a value is a client or a cluster of node-redis 5; a sentinel is neither. */
export function isNodeRedis(value: unknown): value is NodeRedisClient | NodeRedisCluster {
  if (typeof value !== 'object' || value === null || isNodeRedisSentinel(value)) return false
  return ['duplicate', 'connect', 'sendCommand', 'destroy', 'on'].every((method) => typeof (value as Record<string, unknown>)[method] === 'function')
}

function openClient(like: NodeRedisClient, waitMs: number): RedisConnection {
  const client = like.duplicate({ ...ownSettings, socket: ownSocket(like.options?.socket, waitMs) })
  client.on('error', () => undefined)
  return { ready: client.connect(), send: (_, command) => client.sendCommand(command), destroy: () => destroyed(client) }
}

function openCluster(like: NodeRedisCluster, waitMs: number): RedisConnection {
  const defaults = like._options?.defaults
  // Connections to nodes are opened as they are needed, so that one node that hangs does not keep the others from being used.
  const cluster = like.duplicate({
    defaults: { ...defaults, ...ownSettings, socket: ownSocket(defaults?.socket, waitMs) },
    minimizeConnections: true,
    clientSideCache: undefined,
  })
  cluster.on('error', () => undefined)
  return { ready: cluster.connect(), send: (key, command) => cluster.sendCommand(key, false, command), destroy: () => destroyed(cluster) }
}

const ownSettings = { disableOfflineQueue: true, clientSideCache: undefined, emitInvalidate: undefined }

function ownSocket(socket: object | undefined, waitMs: number): object {
  return {
    ...socket,
    connectTimeout: waitMs,
    reconnectStrategy: (attempts: number) => Math.min(25 * 2 ** attempts, longestPauseMs) * (0.75 + Math.random() / 4),
  }
}

function destroyed(client: { destroy(): void }): void {
  try {
    client.destroy()
  } catch {
    // A client that has given up by itself says so when it is ended.
  }
}
