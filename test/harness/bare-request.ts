import { request } from 'node:http'

/** An answer, its body read. */
export interface BareAnswer {
  status: number
  headers: NodeJS.Dict<string | string[]>
  text: string
}

/** A request with the path, Host and headers that are given and no others: `fetch` adds its own and mends paths. */
export function bareRequest(
  origin: string,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<BareAnswer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(origin)
    const sent = request({ hostname, port, path, headers: options.headers ?? {}, method: options.method ?? 'GET' }, async (res) => {
      let text = ''
      for await (const chunk of res) text += chunk
      resolve({ status: res.statusCode ?? 0, headers: res.headers, text })
    })
    sent.on('error', reject)
    sent.end(options.body)
  })
}
