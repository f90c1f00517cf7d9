import { StoreUnavailable } from '../errors/errors.ts'

/** One client of Redis or Valkey, the gateway's own. It reconnects by itself, and a command that finds no connection rejects at once. */
export interface RedisConnection {
  /** Resolves when it has been connected for the first time, rejects when it gives up. */
  ready: Promise<unknown>
  /** Sends one command, which touches `key` alone. */
  send(key: string, command: string[]): Promise<unknown>
  /** Ends it at once. */
  destroy(): void
}

/** Commands to Redis or Valkey that always settle in time. */
export interface RedisLink {
  send(key: string, command: string[]): Promise<unknown>
  close(): void
}

/** This many failures make a client suspect. */
const failuresAllowed = 3

/**
 * Keeps one client at work. Clients have been seen to answer nothing after a reconnect although the server was up, so one that fails again and again is
 * replaced by a new one as soon as that is connected: until then it may still serve, as in a cluster the keys of its sound nodes. While the server is down that
 * does no harm.
 *
 * @param open starts a new client
 * @param waitMs how long a command may take, in milliseconds; a client is not replaced before twice that time, and a new one has that long to connect
 */
export function redisLink(name: string, open: () => RedisConnection, waitMs: number): RedisLink {
  const start = () => ({ connection: opened(open), since: performance.now(), failures: 0 })
  const retired = new Map<RedisConnection, NodeJS.Timeout>()
  let current = start()
  let successor: ReturnType<typeof start> | undefined
  let patience: NodeJS.Timeout | undefined
  let lastTry = Number.NEGATIVE_INFINITY
  let closed = false

  const destroy = (connection: RedisConnection): void => {
    clearTimeout(retired.get(connection))
    retired.delete(connection)
    connection.destroy()
  }
  const retire = (connection: RedisConnection): void => {
    // Not at once: in a cluster, commands to its sound nodes may be under way.
    retired.set(
      connection,
      setTimeout(() => destroy(connection), waitMs),
    )
  }
  const replaceWhenSuspect = (): void => {
    const now = performance.now()
    if (closed || successor || current.failures < failuresAllowed || now - current.since < 2 * waitMs || now - lastTry < waitMs) return
    const next = start()
    successor = next
    lastTry = now
    const settle = (isReady: boolean): void => {
      if (closed || successor !== next) return
      successor = undefined
      clearTimeout(patience)
      if (isReady) {
        retire(current.connection)
        next.since = performance.now()
        current = next
      } else destroy(next.connection)
    }
    patience = setTimeout(() => settle(false), 2 * waitMs)
    next.connection.ready.then(
      () => settle(true),
      () => settle(false),
    )
  }

  return {
    async send(key, command) {
      if (closed) throw new StoreUnavailable(`the ${name} store is closed`)
      const used = current
      try {
        return await inTime(used.connection, key, command, waitMs)
      } catch (error) {
        if (!isReply(error)) {
          used.failures++
          replaceWhenSuspect()
        }
        throw new StoreUnavailable(`${name}: ${(error as Error).message}`, error)
      }
    },
    close() {
      closed = true
      clearTimeout(patience)
      for (const connection of [...retired.keys(), current.connection, ...(successor ? [successor.connection] : [])]) destroy(connection)
    },
  }
}

function opened(open: () => RedisConnection): RedisConnection {
  const connection = open()
  connection.ready.catch(() => undefined)
  return connection
}

async function inTime(connection: RedisConnection, key: string, command: string[], waitMs: number): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  let over = false
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      over = true
      reject(new Error(`no answer within ${waitMs} ms`))
    }, waitMs)
  })
  const answer = connection.ready.then(() => {
    // Whoever asked has been told "unavailable" by now: what they asked for must not happen after all.
    if (over) throw new Error('given up before it was sent')
    return connection.send(key, command)
  })
  answer.catch(() => undefined)
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Whether the server itself refused the command: then the client is sound. Not so "read only": its server is no longer the master, and a new client looks
 * up who is.
 */
function isReply(error: unknown): boolean {
  if (!(error instanceof Object) || String((error as { message?: unknown }).message).startsWith('READONLY')) return false
  for (let prototype = Object.getPrototypeOf(error); prototype; prototype = Object.getPrototypeOf(prototype)) {
    if (['ErrorReply', 'ReplyError'].includes(prototype.constructor.name)) return true
  }
  return false
}
