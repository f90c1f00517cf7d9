import { expect } from '@jest/globals'
import type { SeenExchange } from './recording-proxy.ts'
import { passed, silentRefresh, wayIn } from './stations.ts'
import type { TodoWorld } from './todo.ts'

/** A moment in the life of a client: how much a recorded world had seen by then. */
export interface Moment {
  exchanges: number
  events: number
}

/** Now; the events of all answered requests are there. */
export async function now(world: TodoWorld): Promise<Moment> {
  await world.advanceClock(0)
  return { exchanges: world.exchanges.length, events: world.events().length }
}

async function since(world: TodoWorld, { exchanges, events }: Moment): Promise<{ seen: SeenExchange[]; events: Record<string, unknown>[] }> {
  await world.advanceClock(0)
  return { seen: world.exchanges.slice(exchanges), events: world.events().slice(events) }
}

const grantTypes = (events: Record<string, unknown>[]) => events.filter(({ event }) => event === 'authorization.token').map(({ grantType }) => grantType)

const callers = (events: Record<string, unknown>[], tool: string) => [
  ...new Set(
    events.filter(({ event, tool: called, httpStatus }) => event === 'mcp.request' && called === tool && httpStatus === 200).map(({ subject }) => subject),
  ),
]

/**
 * Holds what the gateway has seen of a client to its way in: 401, discovery, registration, consent, login, token, tool call as `user`. Whoever tests a client ends with
 * this, so that a client which took a short cut passes for none.
 *
 * @param options.first the client's first request on the MCP endpoint, `POST` when left out
 * @param options.document the client's metadata document, by which it is known instead of by a registration
 */
export async function expectSignedIn(
  world: TodoWorld,
  from: Moment,
  user: string,
  options: { first?: 'GET' | 'POST' | 'OPTIONS'; document?: string } = {},
): Promise<void> {
  const { seen, events } = await since(world, from)
  const stations = wayIn(options.first, options.document === undefined)
  expect(passed(seen, stations)).toEqual(stations)
  if (options.document !== undefined) {
    expect(seen.filter(({ url }) => url.pathname === '/register')).toEqual([])
    expect(events).toContainEqual(expect.objectContaining({ event: 'authorization.token', clientId: options.document }))
  }
  expect(grantTypes(events)).toEqual(['authorization_code'])
  expect(events).toContainEqual(expect.objectContaining({ event: 'authorization.consent', outcome: 'allow' }))
  expect(callers(events, 'add_todo')).toEqual([`${world.authorizationServerUrl}|${user}`])
}

/** The protocol revisions of the tool calls that the gateway has seen. */
export async function revisionsOfCalls(world: TodoWorld, from: Moment): Promise<unknown[]> {
  const { events } = await since(world, from)
  return [...new Set(events.filter(({ event, tool }) => event === 'mcp.request' && tool !== undefined).map(({ revision }) => revision))]
}

/** Holds what the gateway has seen of a client whose access token was broken to one silent refresh: no second registration, no page, one token request, then its answer as `user`. */
export async function expectRefreshed(world: TodoWorld, from: Moment, user: string): Promise<void> {
  const { seen, events } = await since(world, from)
  expect(passed(seen, silentRefresh)).toEqual(silentRefresh)
  expect(seen.filter(({ url }) => ['/register', '/authorize', '/consent', '/callback'].includes(url.pathname))).toEqual([])
  expect(grantTypes(events)).toEqual(['refresh_token'])
  expect(callers(events, 'list_todos')).toEqual([`${world.authorizationServerUrl}|${user}`])
}
