import { describe, expect, it } from '@jest/globals'
import { StoreUnavailable } from '../../src/errors/errors.ts'
import { type RedisConnection, redisLink } from '../../src/store/redis-link.ts'

class ErrorReply extends Error {}

/** Clients that answer as they are told, and how many were opened. */
function scripted(answer: (client: number, sent: string[]) => Promise<unknown>) {
  const sent: string[][] = []
  const destroyed: number[] = []
  let opened = 0
  const open = (): RedisConnection => {
    const number = ++opened
    return {
      ready: Promise.resolve(),
      send: (_, command) => {
        sent.push(command)
        return answer(number, command)
      },
      destroy: () => destroyed.push(number),
    }
  }
  return { open, sent, destroyed, opened: () => opened }
}

const never = () => new Promise<never>(() => undefined)
const waitMs = 30

async function failures(link: { send(key: string, command: string[]): Promise<unknown> }, count: number): Promise<unknown[]> {
  const errors: unknown[] = []
  for (let index = 0; index < count; index++) errors.push(await link.send('k', ['GET', 'k']).catch((error: unknown) => error))
  return errors
}

describe('the link to Redis', () => {
  it('replaces a client that answers nothing, and ends it a little later', async () => {
    const clients = scripted((client) => (client === 1 ? never() : Promise.resolve('value')))
    const link = redisLink('redis', clients.open, waitMs)
    for (const error of await failures(link, 3)) {
      expect(error).toBeInstanceOf(StoreUnavailable)
      expect(error).toMatchObject({ reason: `redis: no answer within ${waitMs} ms` })
    }
    expect(await link.send('k', ['GET', 'k'])).toBe('value')
    expect(clients.opened()).toBe(2)
    expect(clients.destroyed).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 2 * waitMs))
    expect(clients.destroyed).toEqual([1])
    link.close()
    expect(clients.destroyed).toEqual([1, 2])
  })

  it('replaces one of which only some commands fail, as in a cluster with one deaf node', async () => {
    const clients = scripted((client, [, key]) => (client === 1 && key === 'deaf' ? never() : Promise.resolve('value')))
    const link = redisLink('redis', clients.open, waitMs)
    for (let index = 0; index < 3; index++) {
      await expect(link.send('deaf', ['GET', 'deaf'])).rejects.toBeInstanceOf(StoreUnavailable)
      expect(await link.send('k', ['GET', 'k'])).toBe('value')
    }
    expect(await link.send('deaf', ['GET', 'deaf'])).toBe('value')
    link.close()
  })

  it('lets the old client serve until the new one is connected, and gives up one that does not connect', async () => {
    const clients = scripted((client, [, key]) => (client === 1 && key === 'deaf' ? never() : Promise.resolve(`of ${client}`)))
    let opened = 0
    // The second never connects, as one that asks the very node that hangs.
    const open = () => (++opened === 2 ? { ...clients.open(), ready: never() } : clients.open())
    const link = redisLink('redis', open, waitMs)
    const answers = new Set<unknown>()
    while (opened < 3) {
      await expect(link.send('deaf', ['GET', 'deaf'])).rejects.toBeInstanceOf(StoreUnavailable)
      answers.add(await link.send('k', ['GET', 'k']))
    }
    expect([...answers][0]).toBe('of 1')
    expect(answers.has('of 2')).toBe(false)
    expect(clients.destroyed).toContain(2)
    expect(await link.send('deaf', ['GET', 'deaf'])).toBe('of 3')
    link.close()
  })

  it('does not replace a young client, however often it fails', async () => {
    const clients = scripted(() => Promise.reject(new Error('The client is closed')))
    const link = redisLink('redis', clients.open, 60_000)
    await failures(link, 50)
    expect(clients.opened()).toBe(1)
    link.close()
  })

  it.each([
    ['a refusal by the server says nothing against the client', new ErrorReply('OOM command not allowed'), 1],
    ['"read only" does: the master is another server now', new ErrorReply("READONLY You can't write against a read only replica."), 2],
  ])('%s', async (_, reply, opened) => {
    const clients = scripted(() => Promise.reject(reply))
    const link = redisLink('redis', clients.open, 10)
    await new Promise((resolve) => setTimeout(resolve, 30))
    for (const error of await failures(link, 4)) expect(error).toMatchObject({ code: 'store_unavailable', cause: reply })
    expect(clients.opened()).toBe(opened)
    link.close()
  })

  it('does not send what was given up before there was a connection', async () => {
    let connect = (): void => undefined
    const clients = scripted(() => Promise.resolve('value'))
    const ready = new Promise<void>((resolve) => {
      connect = resolve
    })
    const link = redisLink('redis', () => ({ ...clients.open(), ready }), waitMs)
    await expect(link.send('k', ['GETDEL', 'k'])).rejects.toBeInstanceOf(StoreUnavailable)
    connect()
    expect(await link.send('k', ['GET', 'k'])).toBe('value')
    expect(clients.sent).toEqual([['GET', 'k']])
    link.close()
  })

  it('rejects once it is closed', async () => {
    const clients = scripted(() => Promise.resolve('value'))
    const link = redisLink('redis', clients.open, waitMs)
    link.close()
    await expect(link.send('k', ['GET', 'k'])).rejects.toMatchObject({ reason: 'the redis store is closed' })
    expect(clients.sent).toEqual([])
  })
})
