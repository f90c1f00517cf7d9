import type { OutgoingHttpHeaders } from 'node:http'
import { type Listening, listen } from '../http/listen.ts'

/** What a host answers for one path. */
export interface Answer {
  status?: number
  headers?: OutgoingHttpHeaders
  body: string | Record<string, unknown>
}

/** A host of metadata documents and key sets, whose answers a test sets by path. */
export interface DocumentHost extends Listening {
  answers: Map<string, Answer>
  /** Bytes as they are, by path. */
  raw: Map<string, { status: number; headers: OutgoingHttpHeaders; body: Buffer }>
  /** Paths asked, in order. */
  asked: string[]
  /** Serves a valid document, with what is given on top, at `path`; returns its URL. */
  publish(path: string, members?: Record<string, unknown>, headers?: OutgoingHttpHeaders): string
}

export async function documentHost(): Promise<DocumentHost> {
  const answers = new Map<string, Answer>()
  const raw: DocumentHost['raw'] = new Map()
  const asked: string[] = []
  const listening = await listen((req, res) => {
    const path = req.url ?? ''
    asked.push(path)
    const bytes = raw.get(path)
    if (bytes) return res.writeHead(bytes.status, bytes.headers).end(bytes.body)
    const answer = answers.get(path)
    res.writeHead(answer?.status ?? (answer ? 200 : 404), { 'content-type': 'application/json', ...answer?.headers })
    res.end(typeof answer?.body === 'string' ? answer.body : JSON.stringify(answer?.body ?? {}))
  })
  return {
    ...listening,
    answers,
    raw,
    asked,
    publish(path, members = {}, headers = {}) {
      const url = listening.origin + path
      answers.set(path, { headers, body: { client_id: url, client_name: 'A client', redirect_uris: ['http://127.0.0.1/callback'], ...members } })
      return url
    },
  }
}
