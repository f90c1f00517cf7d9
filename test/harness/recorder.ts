/** One HTTP exchange of a client. */
export interface Exchange {
  method: string
  url: URL
  requestHeaders: Headers
  body: string | undefined
  status: number
  headers: Headers
}

/** A fetch that notes every exchange and changes nothing. */
export function recordingFetch(): { fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>; exchanges: Exchange[] } {
  const exchanges: Exchange[] = []
  const recorded = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = await fetch(input, init)
    const url = new URL(input instanceof Request ? input.url : String(input))
    const body = typeof init?.body === 'string' ? init.body : init?.body instanceof URLSearchParams ? init.body.toString() : undefined
    exchanges.push({ method: init?.method ?? 'GET', url, requestHeaders: new Headers(init?.headers), body, status: response.status, headers: response.headers })
    return response
  }
  return { fetch: recorded, exchanges }
}
