import { StoreUnavailable } from '../errors/errors.ts'
import { checkSpend, checkTtl } from './arguments.ts'
import type { RedisLink } from './redis-link.ts'
import type { Store } from './store.ts'

const replaceScript = `
  if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 1`

/** `%.0f`, because Lua would write a big number as 9.007e+15; as text, because node-redis reads a big integer off by one. */
const spendScript = `
  local found = redis.call('GET', KEYS[1])
  local used = tonumber(found or '0')
  if used == nil then return redis.error_reply('ERR a value, not a counter') end
  local cost, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
  if cost >= 0 and used + cost > limit then return {0, string.format('%.0f', used)} end
  if cost == 0 or (cost < 0 and (not found or redis.call('PTTL', KEYS[1]) > tonumber(ARGV[3]))) then return {1, string.format('%.0f', used)} end
  if cost < 0 then cost = -math.min(used, -cost) end
  used = redis.call('INCRBY', KEYS[1], string.format('%.0f', cost))
  if not found then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
  return {1, string.format('%.0f', used)}`

/**
 * A store in Redis 6.2 or later, or Valkey. Each operation is one command or one script on one key, so a cluster serves as well.
 *
 * @param name what it stands on, for people
 * @param prefix of every key
 */
export function redisStore(name: string, link: RedisLink, prefix: string): Store {
  const send = (command: string, key: string, ...rest: string[]): Promise<unknown> => link.send(`${prefix}${key}`, [command, `${prefix}${key}`, ...rest])
  const evaluate = (script: string, key: string, ...values: string[]): Promise<unknown> =>
    link.send(`${prefix}${key}`, ['EVAL', script, '1', `${prefix}${key}`, ...values])

  return {
    name,
    atomicAcrossProcesses: true,
    async get(key) {
      return textOf(await send('GET', key))
    },
    async set(key, value, ttlMs) {
      checkTtl(ttlMs)
      if (textOf(await send('SET', key, value, 'PX', String(ttlMs))) !== 'OK') throw new StoreUnavailable(`${name}: a write was refused`)
    },
    async delete(key) {
      await send('DEL', key)
    },
    async take(key) {
      return textOf(await send('GETDEL', key))
    },
    async compareAndSet(key, expected, next, ttlMs) {
      checkTtl(ttlMs)
      if (expected === undefined) return textOf(await send('SET', key, next, 'PX', String(ttlMs), 'NX')) === 'OK'
      return Number(await evaluate(replaceScript, key, expected, next, String(ttlMs))) === 1
    },
    async spend(key, cost, limit, ttlMs) {
      checkSpend(cost, limit, ttlMs)
      const [allowed, used] = (await evaluate(spendScript, key, String(cost), String(limit), String(ttlMs))) as [unknown, unknown]
      return { allowed: Number(allowed) === 1, used: Number(textOf(used)) }
    },
    async close() {
      link.close()
    },
  }
}

/** A reply of text: a string, a Buffer where the team's client maps it so, null or undefined for none, under RESP 2 and 3. */
function textOf(reply: unknown): string | undefined {
  return reply === null || reply === undefined ? undefined : String(reply)
}
