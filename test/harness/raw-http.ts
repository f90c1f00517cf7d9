import { connect } from 'node:net'

/** An answer as it came over the wire; undefined status: the server hung up without one. */
export interface RawAnswer {
  status: number | undefined
  /** Lower-case names; the values of one name joined by ", ". */
  headers: Record<string, string>
  body: string
  /** The status line and all that follows, as it came. */
  whole: string
  ms: number
}

/** A request as a list of its parts, none of which is looked at: names, values and target may hold anything. */
export interface RawRequest {
  method: string
  target: string
  headers: [name: string, value: string][]
  body: string | Buffer
}

/** The bytes of a request: with `Host`, `Connection: close` and a `Content-Length`, unless it brings its own. */
export function bytesOf(request: RawRequest): Buffer {
  const given = new Set(request.headers.map(([name]) => name.toLowerCase()))
  const own: [string, string][] = [
    ['host', '127.0.0.1'],
    ['connection', 'close'],
  ]
  const length = Buffer.byteLength(request.body)
  if (length > 0 || request.method === 'POST' || request.method === 'PUT') own.push(['content-length', String(length)])
  const lines = [...own.filter(([name]) => !given.has(name) && !(name === 'content-length' && given.has('transfer-encoding'))), ...request.headers]
  const head = `${request.method} ${request.target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(request.body as string)])
}

/**
 * Sends bytes as they are and reads what comes until the server closes, or, with `untilHead`, until the head of an answer is there.
 *
 * @param options `deadlineMs`: rejects after it, as nothing may hang; `leaveAfterMs`: hangs up by itself then
 */
export function sendBytes(
  url: string,
  bytes: string | Buffer,
  options: { deadlineMs?: number; untilHead?: boolean; leaveAfterMs?: number } = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const startedAt = Date.now()
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    const chunks: Buffer[] = []
    const deadlineMs = options.deadlineMs ?? 20_000
    const timer = setTimeout(() => {
      socket.destroy()
      reject(
        new Error(
          `no end of an answer within ${deadlineMs} ms to ${JSON.stringify(bytes.toString('latin1').slice(0, 2000))}; so far: ${Buffer.concat(chunks).toString('latin1').slice(0, 500)}`,
        ),
      )
    }, deadlineMs)
    const finish = () => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ ...parseAnswer(Buffer.concat(chunks)), ms: Date.now() - startedAt })
    }
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      if (options.untilHead && Buffer.concat(chunks).includes('\r\n\r\n')) finish()
    })
    // A reset after an answer (the server did not want the rest of the request) is an end like another.
    socket.on('error', finish).on('close', finish)
    if (options.leaveAfterMs !== undefined) setTimeout(finish, options.leaveAfterMs)
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  })
}

/** Sends one request. */
export function sendRaw(
  url: string,
  request: RawRequest,
  options: { deadlineMs?: number; untilHead?: boolean; leaveAfterMs?: number } = {},
): Promise<RawAnswer> {
  return sendBytes(url, bytesOf(request), options)
}

function parseAnswer(bytes: Buffer): Omit<RawAnswer, 'ms'> {
  const whole = bytes.toString('utf8')
  const end = whole.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = (end < 0 ? whole : whole.slice(0, end)).split('\r\n')
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1]
  // After an interim answer comes the real one.
  if (status === '100') return parseAnswer(Buffer.from(whole.slice(end + 4)))
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    const value = line.slice(line.indexOf(':') + 1).trim()
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  const rest = end < 0 ? '' : whole.slice(end + 4)
  return {
    status: status === undefined ? undefined : Number(status),
    headers,
    body: headers['transfer-encoding'] === 'chunked' ? unchunked(rest) : rest,
    whole,
  }
}

function unchunked(text: string): string {
  return text.replace(/^[0-9a-f]+\r\n|\r\n[0-9a-f]+\r\n/gi, '').replace(/\r\n$/, '')
}
