import { type IncomingMessage, type RequestListener, request, type ServerResponse } from 'node:http'

/** One port for several processes, as a load balancer is. */
export interface Front {
  /** Passes each request on to the next process in turn, and its answer back as it comes. */
  handler: RequestListener
  /** Lets the process at this URL take part; what it gives leaves it out again. */
  add(url: string): () => void
}

/** Between two neighbours on the way, not from end to end (RFC 9110 §7.6.1). `expect` this side has answered already. */
const hopByHop = new Set(['connection', 'expect', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'])

/**
 * A round-robin proxy. A process that cannot be connected is passed over for the next one: nothing has been sent to it, so nothing is done twice. Once a
 * request is sent it is never repeated, since what it asked for may have happened.
 */
export function createFront(): Front {
  const processes: URL[] = []
  let turn = 0

  /** Sends the request to one process, and to another as long as none could be connected. */
  const pass = (req: IncomingMessage, res: ServerResponse, left: URL[]): void => {
    const [to, ...others] = left
    if (to === undefined) {
      answer(res, 503, 'No gateway process is there. Try again.')
      return
    }
    const headers = headersOf(req.rawHeaders)
    let connected = false
    // A connection for each request: one that is kept may be closed by the process at the very moment at which it is used again.
    const onward = request({ host: to.hostname, port: to.port, method: req.method, path: req.url, headers, agent: false, setHost: false })
    onward.once('socket', (socket) => {
      socket.once('connect', () => {
        connected = true
        req.pipe(onward)
      })
    })
    onward.once('response', (response) => passBack(response, res))
    onward.once('error', () => {
      if (res.headersSent) res.destroy()
      else if (connected) answer(res, 502, 'The gateway process broke off. Whether it did what was asked is not known.')
      else if (!res.destroyed) pass(req, res, others)
    })
    res.once('close', () => onward.destroy())
  }

  return {
    handler: (req, res) => {
      const first = turn++ % Math.max(processes.length, 1)
      pass(req, res, [...processes.slice(first), ...processes.slice(0, first)])
    },
    add: (url) => {
      const process = new URL(url)
      processes.push(process)
      return () => {
        if (processes.includes(process)) processes.splice(processes.indexOf(process), 1)
      }
    },
  }
}

function passBack(response: IncomingMessage, res: ServerResponse): void {
  res.writeHead(response.statusCode ?? 502, response.statusMessage, headersOf(response.rawHeaders))
  // At once: the first event of a stream may be long in coming.
  res.flushHeaders()
  response.once('error', () => res.destroy())
  response.pipe(res)
}

/** Names and values in turn, as they came: one header may stand there several times. */
function headersOf(raw: string[]): string[] {
  const nominated = raw.flatMap((name, index) =>
    index % 2 === 0 && name.toLowerCase() === 'connection' ? (raw[index + 1] ?? '').toLowerCase().split(/\s*,\s*/) : [],
  )
  return raw.filter((_, index) => {
    const name = (raw[index - (index % 2)] ?? '').toLowerCase()
    return !hopByHop.has(name) && !nominated.includes(name)
  })
}

function answer(res: ServerResponse, status: 502 | 503, text: string): void {
  res.writeHead(status, { 'Content-Type': 'text/plain', 'Retry-After': '1' }).end(`${text}\n`)
}
