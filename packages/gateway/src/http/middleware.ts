import type { IncomingMessage, ServerResponse } from 'node:http'

/** A middleware typed by `node:http` alone, so the same part mounts in Express 4 and 5, Connect and a bare `http.createServer`. */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void
