import { createHash } from 'node:crypto'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

/**
 * Answers with JSON. Nothing is negotiated: clients send odd `Accept` headers or none (clients.md line 7).
 *
 * @param headers override the defaults, of which `Cache-Control: no-store` is one (RFC 6749 §5.1)
 */
export function sendJson(res: ServerResponse, status: number, body: unknown, headers: OutgoingHttpHeaders = {}): void {
  const text = JSON.stringify(body)
  res.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  })
  res.end(text)
}

/** What a page may do beyond showing itself. */
export interface PageOptions {
  /**
   * Origins, besides our own, where a form of the page may end up: Chromium holds `form-action` against the redirect after the POST too (clients.md line 24). `any`: wherever the
   * target of the form leads the browser to.
   */
  formAction?: string[] | 'any'
  /** Lets the page's one `<script>` run, by its hash. */
  script?: boolean
  headers?: OutgoingHttpHeaders
}

/**
 * Answers with an HTML page that cannot be framed (AZ-8), is not stored and sends no referrer. It runs no script but one that is asked for. Its first `<style>` element is allowed by
 * its hash.
 *
 * @param html the whole document; everything from outside in it is escaped already
 */
export function sendPage(res: ServerResponse, status: number, html: string, options: PageOptions = {}): void {
  const style = /<style>([\s\S]*?)<\/style>/.exec(html)?.[1]
  const script = options.script ? /<script>([\s\S]*?)<\/script>/.exec(html)?.[1] : undefined
  const { formAction = [] } = options
  const policy = [
    "default-src 'none'",
    style === undefined ? undefined : `style-src ${hashSource(style)}`,
    script === undefined ? undefined : `script-src ${hashSource(script)}`,
    "img-src 'self' data: https:",
    formAction === 'any' ? undefined : `form-action ${["'self'", ...formAction.filter(isCspSource)].join(' ')}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ]
  res.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(html),
    'cache-control': 'no-store',
    'content-security-policy': policy.filter((part) => part !== undefined).join('; '),
    'x-frame-options': 'DENY',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    ...options.headers,
  })
  res.end(html)
}

function hashSource(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}

/** URL hosts may hold `;` and `,`, which would end the directive: whatever is not plainly an origin is left out, and the form then stays here. */
function isCspSource(source: string): boolean {
  return /^[a-z][a-z0-9+.-]*:(\/\/[a-z0-9._-]+(:\d{1,5})?)?$/i.test(source)
}

/** Answers with an image that someone else made: whatever it really is, it is nothing but an image here, and runs nothing when it is opened by itself. */
export function sendImage(res: ServerResponse, type: string, bytes: Buffer): void {
  res.writeHead(200, {
    'content-type': type,
    'content-length': bytes.length,
    'cache-control': 'private, max-age=600',
    'content-security-policy': "default-src 'none'; sandbox",
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  res.end(bytes)
}

/**
 * Sends the browser on. Characters that a header cannot carry are percent-encoded; the rest of `url` goes out to the character.
 *
 * @param status 303 turns a POST into a GET and so never forwards a body (RFC 9700 §4.12)
 */
export function sendRedirect(res: ServerResponse, url: string | URL, status: 302 | 303 = 303): void {
  const location = String(url).replace(/[^\x21-\x7e]+/g, (part) => encodeURIComponent(part.toWellFormed()))
  res.writeHead(status, { location, 'content-length': 0, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
  res.end()
}

/** Answers without a body. */
export function sendEmpty(res: ServerResponse, status: number, headers: OutgoingHttpHeaders = {}): void {
  res.writeHead(status, { ...(status === 204 ? {} : { 'content-length': 0 }), 'cache-control': 'no-store', ...headers })
  res.end()
}

/** Answers a method that a path does not offer (RFC 9110 §15.5.6). */
export function sendMethodNotAllowed(res: ServerResponse, allow: string[]): void {
  sendEmpty(res, 405, { allow: allow.join(', ') })
}
