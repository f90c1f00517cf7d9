import type { ServerResponse } from 'node:http'
import type { Config } from '../config.ts'
import { GatewayError } from '../errors/errors.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { type PageOptions, sendPage } from '../http/respond.ts'
import { goOnPage, type Message, messagePage } from '../pages/message-page.ts'
import { hostOf, looksOf } from '../visitor/looks.ts'

type PageConfig = Pick<Config, 'consent' | 'origin'>

// Some clients run the flow in a pop-up and are told of its end through its opener, which `same-origin` would cut off (use-mcp).
const forPopups: PageOptions = { headers: { 'cross-origin-opener-policy': 'unsafe-none' } }

/** Answers with one of the authorization server's own pages. */
export function sendFlowPage(res: ServerResponse, status: number, page: string, headers: Record<string, string> = {}): void {
  sendPage(res, status, page, { headers: { ...forPopups.headers, ...headers } })
}

/** Something that a page says instead of going on. */
export interface Notice extends Message {
  status: number
}

/** What the pages of the flow say, apart from the question itself. */
export const notices = {
  gone: {
    status: 410,
    title: 'This request is over',
    text: ['It was answered already, or it took longer than ten minutes.', 'If your app is not connected, start again from there. You can close this page.'],
  },
  otherBrowser: {
    status: 403,
    title: 'Not the same browser',
    text: [
      'This sign-in was started in another browser, or this browser does not keep cookies for this site.',
      'Start again from your app, in one browser. You can close this page.',
    ],
  },
  foreignForm: { status: 403, title: 'Nothing was changed', text: ['That form did not come from a page of this site. Go back and answer on the page itself.'] },
  unclear: { status: 400, title: 'Nothing was changed', text: ['The answer was neither Allow nor Deny. Go back and answer on the page itself.'] },
  otherAccount: {
    status: 403,
    title: 'You signed in with another account',
    text: [
      'The account you signed in with is not the one you are using here, so the app was not connected.',
      'Start again from your app, with the same account.',
    ],
  },
} as const satisfies Record<string, Notice>

/** Answers with a notice. */
export function sendNotice(res: ServerResponse, config: PageConfig, notice: Notice): void {
  sendFlowPage(res, notice.status, messagePage(looksOf(config), hostOf(config), notice))
}

/** The page of someone who comes back to a question that is answered: the way on, to be taken by hand. */
export function sendAnsweredAlready(res: ServerResponse, config: PageConfig, decision: 'allow' | 'deny' | undefined, goOn: string): void {
  const title = decision === 'deny' ? 'You denied this' : 'You have answered this already'
  const link = { href: goOn, label: decision === 'deny' ? 'Return to the app' : 'Continue' }
  sendFlowPage(
    res,
    200,
    messagePage(looksOf(config), hostOf(config), { title, text: ['A question is answered once. You can continue from here, or close this page.'], link }),
  )
}

/**
 * Sends the browser on after a form. It is a page and no redirect, since Chromium holds the form's `form-action` against every redirect behind it, those between a
 * provider's own hosts included (docs/decisions/0002-consent-post.md).
 */
export function sendGoOn(res: ServerResponse, config: PageConfig, decision: 'allow' | 'deny', href: string): void {
  const words = decision === 'allow' ? { title: 'Continuing…', label: 'Continue' } : { title: 'Denied', label: 'Return to the app' }
  sendFlowPage(res, 200, goOnPage(looksOf(config), hostOf(config), { href, ...words }))
}

/** Answers with a page for an error that must not, or cannot, go to the client by redirect (AZ-3). */
export function sendErrorPage(res: ServerResponse, config: PageConfig, error: unknown, requestId: string): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const { status, headers, ...message } = errorMessage(error, requestId)
  sendFlowPage(res, status, messagePage(looksOf(config), hostOf(config), message), headers)
}

function errorMessage(error: unknown, reference: string): Notice & { headers: Record<string, string> } {
  if (error instanceof OAuthError) {
    // A page is no answer to a client's credentials: 401 would need a challenge.
    const status = error.status === 401 ? 400 : error.status
    const title = status === 503 ? 'Not available right now' : 'This app cannot be connected'
    return {
      status,
      headers: error.headers,
      title,
      text: [error.description, 'Start again from your app. If this happens again, tell whoever makes it.'],
      reference,
    }
  }
  if (error instanceof GatewayError && error.status === 503) {
    return { status: 503, headers: error.headers, title: 'Not available right now', text: [error.message], reference }
  }
  const status = error instanceof GatewayError && error.status < 500 ? error.status : 500
  return { status, headers: {}, title: 'Something failed', text: ['This is a fault of this site, not of your app. Try again later.'], reference }
}
