/** One HTTP exchange of a client. */
export interface Exchange {
  method: string
  url: URL
  requestHeaders: Headers
  body: string | undefined
  status: number
  headers: Headers
}

/** A fetch, as the SDKs call theirs. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** A fetch that notes every exchange and changes nothing of what `inner` gives, the machine's own when left out. */
export function recordingFetch(inner: Fetch = fetch): { fetch: Fetch; exchanges: Exchange[] } {
  const exchanges: Exchange[] = []
  const recorded = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = await inner(input, init)
    const url = new URL(input instanceof Request ? input.url : String(input))
    const body = typeof init?.body === 'string' ? init.body : init?.body instanceof URLSearchParams ? init.body.toString() : undefined
    exchanges.push({ method: init?.method ?? 'GET', url, requestHeaders: new Headers(init?.headers), body, status: response.status, headers: response.headers })
    return response
  }
  return { fetch: recorded, exchanges }
}
