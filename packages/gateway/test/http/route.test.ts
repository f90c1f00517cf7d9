import { afterEach, describe, expect, it } from '@jest/globals'
import connect from 'connect'
import express from 'express'
import express4 from 'express4'
import type { Middleware } from '../../src/http/middleware.ts'
import { pathMatches, queryOf } from '../../src/http/route.ts'
import { ask, type Listening, listen } from './listen.ts'

let server: Listening | undefined
afterEach(() => server?.close())

const token: Middleware = (req, res, next) => {
  if (!pathMatches(req, '/auth', '/token')) return next()
  res.end(`token ${queryOf(req)}`)
}

describe('pathMatches', () => {
  it.each([
    ['express 5', () => express().use('/auth', token as express.RequestHandler)],
    ['express 4', () => express4().use('/auth', token)],
    ['connect', () => connect().use('/auth', token)],
  ])('works below a mount prefix of %s', async (_, app) => {
    server = await listen(app() as Parameters<typeof listen>[0])
    expect((await ask(server.port, { path: '/auth/token?a=1&b=%20' })).text).toBe('token a=1&b=%20')
    expect((await ask(server.port, { path: '/auth/token/' })).text).toBe('token ')
    expect((await ask(server.port, { path: '/other/token' })).status).toBe(404)
  })

  it.each([
    ['/auth/token', true],
    ['/auth/token/', true],
    ['/auth/token?x=/y', true],
    ['/token', true],
    ['/token/?x', true],
    ['http://any.example/auth/token', true],
    ['/auth/token//', false],
    ['/auth//token', false],
    ['/auth/%74oken', false],
    ['/auth/x/../token', false],
    ['/AUTH/token', false],
    ['/auth/token/more', false],
    ['/auth', false],
    ['/', false],
  ])('in a bare server, also behind a proxy that strips the prefix: %s is %s', async (path, matches) => {
    server = await listen((req, res) => {
      res.end(String(pathMatches(req, '/auth', '/token')))
    })
    expect((await ask(server.port, { path })).text).toBe(String(matches))
  })

  it('never looks at Host (AS-11)', async () => {
    server = await listen((req, res) => {
      res.end(String(pathMatches(req, '', '/token')))
    })
    expect((await ask(server.port, { path: '/token', headers: { host: 'evil.example' } })).text).toBe('true')
  })
})
