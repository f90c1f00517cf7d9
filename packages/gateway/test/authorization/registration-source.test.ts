import { afterEach, describe, expect, it } from '@jest/globals'
import express from 'express'
import request from 'supertest'
import { createGateway, type Gateway } from '../../src/gateway.ts'

let gateway: Gateway
afterEach(() => gateway.close())

/** A team's app that lets each address register once an hour. */
function appThat(setUp: (app: express.Express) => void): express.Express {
  gateway = createGateway({
    publicUrl: 'http://127.0.0.1:3000',
    servers: { todo: { path: '/mcp', runtime: 'http://127.0.0.1:1/mcp', workerSecret: 'w'.repeat(32) } },
    clients: { registration: { perSourcePerHour: 1 } },
    log: false,
  })
  const app = express()
  setUp(app)
  return app.use(gateway)
}

/** Registers a client as somebody behind a proxy that says so. */
async function registerFrom(app: express.Express, forwardedFor: string): Promise<number> {
  const { status } = await request(app)
    .post('/register')
    .set('x-forwarded-for', forwardedFor)
    .send({ redirect_uris: ['http://127.0.0.1/callback'], token_endpoint_auth_method: 'none' })
  return status
}

describe('the source of a registration', () => {
  it('is who the trusted proxy says it is', async () => {
    const app = appThat((one) => one.set('trust proxy', 1))
    expect(await registerFrom(app, '198.51.100.1')).toBe(201)
    expect(await registerFrom(app, '198.51.100.1')).toBe(429)
    expect(await registerFrom(app, '198.51.100.2')).toBe(201)
    // Only the proxy's own word: what came to it as a header may be anybody's invention.
    expect(await registerFrom(app, '198.51.100.3, 198.51.100.2')).toBe(429)
  })

  it('is the connection where no proxy is trusted, whatever a header says', async () => {
    const app = appThat(() => undefined)
    expect(await registerFrom(app, '198.51.100.1')).toBe(201)
    expect(await registerFrom(app, '198.51.100.2')).toBe(429)
  })

  it('is the connection where the app made of it what is no address', async () => {
    const app = appThat((one) =>
      one.use((req, _res, next) => {
        Object.defineProperty(req, 'ip', { value: 'not an address' })
        next()
      }),
    )
    expect(await registerFrom(app, '198.51.100.1')).toBe(201)
    expect(await registerFrom(app, '198.51.100.2')).toBe(429)
  })
})
