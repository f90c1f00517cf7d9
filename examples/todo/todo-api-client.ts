import type { Todo } from './todos.ts'

/** The API refused the user's token: 401, or 403 for a scope that it lacks. `challenge` is its WWW-Authenticate. */
export class TokenRefused extends Error {
  readonly status: 401 | 403
  readonly challenge: string | null

  constructor(status: 401 | 403, challenge: string | null) {
    super(status === 401 ? 'The Todo API refused the access token' : 'The access token lacks a scope')
    this.status = status
    this.challenge = challenge
  }
}

/** The Todo API as one user sees it. */
export interface TodoApi {
  list(): Promise<Todo[]>
  add(title: string): Promise<Todo>
  complete(id: number): Promise<Todo>
  remove(id: number): Promise<void>
}

/**
 * @param accessToken the user's own, for the API; another is never used
 * @param signal ends a request whose caller has left
 */
export function todoApi(url: string, accessToken: string, signal: AbortSignal): TodoApi {
  const send = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(url + path, {
      method,
      headers: { Authorization: `Bearer ${accessToken}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    })
    if (response.status === 401 || response.status === 403) throw new TokenRefused(response.status, response.headers.get('www-authenticate'))
    if (response.status === 404) throw new Error('There is no such todo')
    if (!response.ok) throw new Error(`The Todo API answered ${response.status}`)
    return response
  }
  return {
    list: async () => (await (await send('GET', '/todos')).json()) as Todo[],
    add: async (title) => (await (await send('POST', '/todos', { title })).json()) as Todo,
    complete: async (id) => (await (await send('POST', `/todos/${id}/complete`)).json()) as Todo,
    remove: async (id) => void (await send('DELETE', `/todos/${id}`)),
  }
}
