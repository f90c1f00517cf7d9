import { join } from 'node:path'
import express, { type Request, type RequestHandler, type Response } from 'express'
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose'
import { z } from 'zod'
import { openDataFolder } from './data-folder.ts'
import { listen, type Running } from './listen.ts'
import { runAsProcess } from './process.ts'
import { openTodos } from './todos.ts'

/** Settings of the Todo API. */
export interface ApiOptions {
  /** 0: the kernel chooses. */
  port: number
  dataDir: string
  /** The one authorization server whose access tokens count. */
  issuer: string
  /** What must stand in a token's `aud`: this API. */
  audience: string
  /** A block list: a token for whose claims this says true is refused with 401 although it has not expired. */
  isRevoked?: (claims: JWTPayload) => boolean
}

const Title = z.object({ title: z.string().trim().min(1).max(200) })
const Id = z.coerce.number().int().positive()
const claimsOf = new WeakMap<Request, { sub: string; scopes: Set<string> }>()

/** Starts the Todo API: each user's own todos, for holders of an access token of the Todo authorization server, for this API, with the right scope. */
export async function startApi(options: ApiOptions): Promise<Running> {
  const todos = openTodos(join(openDataFolder(options.dataDir), 'todos.db'))
  const subject = (req: Request) => claimsOf.get(req)?.sub as string
  const notFound = (res: Response) => res.status(404).json({ error: 'not_found' })
  const read = [requireToken(options), requireScope('todos.read')]
  const write = [requireToken(options), requireScope('todos.write')]

  const app = express()
  app.disable('x-powered-by')
  app.get('/todos', read, (req: Request, res: Response) => {
    res.json(todos.list(subject(req)))
  })
  app.post('/todos', write, express.json({ limit: '16kb' }), (req: Request, res: Response) => {
    const body = Title.safeParse(req.body)
    if (!body.success) return res.status(400).json({ error: 'invalid_title', error_description: 'title: a text of 1 to 200 characters' })
    return res.status(201).json(todos.add(subject(req), body.data.title))
  })
  app.post('/todos/:id/complete', write, (req: Request, res: Response) => {
    const id = Id.safeParse(req.params.id)
    const todo = id.success && todos.complete(subject(req), id.data)
    return todo ? res.json(todo) : notFound(res)
  })
  app.delete('/todos/:id', write, (req: Request, res: Response) => {
    const id = Id.safeParse(req.params.id)
    return id.success && todos.remove(subject(req), id.data) ? res.status(204).end() : notFound(res)
  })

  const { server, url, close } = await listen(options.port)
  server.on('request', app)
  return {
    url,
    close: async () => {
      await close()
      todos.close()
    },
  }
}

/** RFC 9068 §4: signature by the issuer's key, `typ`, issuer, audience and expiry. Keys that cannot be fetched are an outage, never a refusal. */
function requireToken({ issuer, audience, isRevoked }: ApiOptions): RequestHandler {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
  return async (req, res, next) => {
    const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(req.headers.authorization ?? '')?.[1]
    if (!token) return refuse(res, 401, {})
    try {
      const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt', algorithms: ['RS256'], requiredClaims: ['sub', 'exp'] })
      if (isRevoked?.(payload)) return refuse(res, 401, { error: 'invalid_token' })
      claimsOf.set(req, { sub: payload.sub as string, scopes: new Set(String(payload.scope ?? '').split(' ')) })
    } catch (error) {
      if (saysInvalid(error)) return refuse(res, 401, { error: 'invalid_token' })
      return void res.status(503).json({ error: 'temporarily_unavailable' })
    }
    next()
  }
}

const invalid = [
  errors.JWTExpired,
  errors.JWTClaimValidationFailed,
  errors.JWTInvalid,
  errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed,
  errors.JOSEAlgNotAllowed,
  errors.JOSENotSupported,
  errors.JWKSNoMatchingKey,
]
const saysInvalid = (error: unknown) => invalid.some((type) => error instanceof type)

/** RFC 6750 §3.1. */
function requireScope(scope: string): RequestHandler {
  return (req, res, next) => (claimsOf.get(req)?.scopes.has(scope) ? next() : refuse(res, 403, { error: 'insufficient_scope', scope }))
}

function refuse(res: Response, status: 401 | 403, params: Record<string, string>): void {
  const challenge = Object.entries({ realm: 'todo', ...params }).map(([name, value]) => `${name}="${value}"`)
  res
    .status(status)
    .set('WWW-Authenticate', `Bearer ${challenge.join(', ')}`)
    .json(params)
}

if (import.meta.main) {
  await runAsProcess((setting) =>
    startApi({ port: Number(setting('PORT')), dataDir: setting('DATA_DIR'), issuer: setting('ISSUER'), audience: setting('API_URL') }),
  )
}
