import type { GatewayEvent, LogEvent } from './events.ts'

/** Any logger with these three: `console`, pino and most others. Called with the event and its name: `logger.info(event, 'mcp.request')`. */
export interface Logger {
  info(event: LogEvent, message: string): unknown
  warn(event: LogEvent, message: string): unknown
  error(event: LogEvent, message: string): unknown
}

/** Takes one event; may return a promise. What it throws costs that event and nothing else. */
export type Sink = (event: LogEvent) => unknown

/** Where events go: a logger, a function, `'stdout'` (one JSON line an event) or nowhere. */
export type LogOption = Logger | Sink | 'stdout' | false | undefined

/** Where cleaned events go, and which are wanted there. */
export interface Outlet {
  wants: (event: LogEvent) => boolean
  take: Sink
}

const everything = () => true

/** The outlet of an option; undefined: nothing is written. Left out: the troubles that the gateway reports of itself, as lines on stderr. */
export function outletOf(option: LogOption): Outlet | undefined {
  if (option === false) return undefined
  if (option === 'stdout') return { wants: everything, take: (event) => writeLine(process.stdout, JSON.stringify(event)) }
  if (typeof option === 'function') return { wants: everything, take: option }
  if (option !== undefined) return { wants: everything, take: (event) => option[event.level](event, event.event) }
  return {
    wants: ({ event }) => event === 'gateway.warning' || event === 'gateway.error',
    take: (event) => writeLine(process.stderr, troubleLine(event)),
  }
}

function troubleLine(event: LogEvent): string {
  const { message = '', reason, requestId } = event as Partial<GatewayEvent>
  return `[emcy-gateway] ${event.level === 'error' ? 'error' : 'warning'}: ${message}${reason ? ` (${reason})` : ''}${requestId ? ` [${requestId}]` : ''}`
}

const guarded = new WeakSet<NodeJS.WritableStream>()

/* Resolves when the line has left, so that a reader that is slow fills the log's bounded queue and not this process. */
function writeLine(stream: NodeJS.WritableStream, line: string): Promise<void> {
  if (!guarded.has(stream)) {
    guarded.add(stream)
    // A reader that is gone (EPIPE) makes the stream emit an error, which nobody else listens for: it must cost events, not the process.
    stream.on('error', () => undefined)
  }
  return new Promise((resolve, reject) => {
    stream.write(`${line}\n`, (error) => (error ? reject(error) : resolve()))
  })
}
