import type { ServerResponse } from 'node:http'
import { DocumentUnavailable } from '../clients/metadata-document.ts'
import type { Config } from '../config.ts'
import { GatewayError } from '../errors/errors.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { goOnPage, type Message, messagePage } from '../pages/message-page.ts'
import { hostOf, looksOf } from '../visitor/looks.ts'
import { formFields, type ResponseTarget } from './authorization-response.ts'
import { sendFlowPage } from './flow-page.ts'
import type { Pending } from './pending.ts'
import { sendFormPost } from './send-on.ts'

type PageConfig = Pick<Config, 'consent' | 'origin'>

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
      'This sign-in was started in another browser, or in another window that keeps its cookies to itself.',
      'Start again from your app, and stay in the browser that it opens. You can close this page.',
    ],
  },
  noCookies: {
    status: 403,
    title: 'Cookies are switched off here',
    text: [
      'This site needs one cookie to know that the answer comes from the same browser as the question, and this browser does not send any.',
      'If this page is shown inside another app, open it in your own browser instead: look for “Open in browser” in the menu. Otherwise allow cookies for this site.',
      'Then start again from your app. You can close this page.',
    ],
  },
  foreignForm: { status: 403, title: 'Nothing was changed', text: ['That form did not come from a page of this site. Go back and answer on the page itself.'] },
  unclear: { status: 400, title: 'Nothing was changed', text: ['The answer was neither Allow nor Deny. Go back and answer on the page itself.'] },
  nothingChosen: { status: 400, title: 'Nothing was chosen', text: ['Go back and leave at least one permission switched on, or deny the request.'] },
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

const closeThis = 'A question is answered once. If your app is not connected, start again from there. You can close this page.'

/** The page of someone who comes back to a question that is answered: the way on, to be taken by hand. */
export function sendAnsweredAlready(res: ServerResponse, config: PageConfig, { request, decision }: Pending, goOn: string): void {
  const title = decision === 'deny' ? 'You denied this' : 'You have answered this already'
  const link = { href: goOn, label: decision === 'deny' ? 'Return to the app' : 'Continue' }
  const text = ['A question is answered once. You can continue from here, or close this page.']
  // What goes to the client by a form has no link.
  const isForm = formFields(request, goOn) !== undefined
  sendFlowPage(res, 200, messagePage(looksOf(config), hostOf(config), { title, text: isForm ? [closeThis] : text, ...(isForm ? {} : { link }) }))
}

/**
 * Sends the browser on after a form. It is a page and no redirect, since Chromium holds the form's `form-action` against every redirect behind it, those between a
 * provider's own hosts included (docs/decisions/0002-consent-post.md).
 */
export function sendGoOn(res: ServerResponse, config: PageConfig, { request, decision }: Pending, href: string): void {
  if (sendFormPost(res, config, request, href)) return
  const words = decision === 'deny' ? { title: 'Denied', label: 'Return to the app' } : { title: 'Continuing…', label: 'Continue' }
  sendFlowPage(res, 200, goOnPage(looksOf(config), hostOf(config), { href, ...words }))
}

/**
 * The page of a request that cannot be granted, where nobody vouches for its client: the error is told here, and the way back is taken by hand (RFC 9700 §4.11.2). What goes to the client by
 * a form has no link.
 *
 * @param refused `goOn`: the error response
 */
export function sendRefusal(
  res: ServerResponse,
  config: PageConfig,
  target: ResponseTarget,
  refused: { error: unknown; goOn: string; requestId: string },
): void {
  const { status, headers, text, ...message } = errorMessage(refused.error, refused.requestId)
  const { host } = new URL(target.redirectUri)
  const isForm = formFields(target, refused.goOn) !== undefined
  const more = isForm ? {} : { link: { href: refused.goOn, label: `Return to ${host}` } }
  const where = `It would have the answer at ${host}, a site that nobody here has checked.`
  sendFlowPage(res, status, messagePage(looksOf(config), hostOf(config), { ...message, text: [...text, where], ...more }), headers)
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
  if (error instanceof DocumentUnavailable) {
    const text = [error.description, 'Its host may be down. Try again in a minute, from your app.']
    return { status: 503, headers: { 'retry-after': '60' }, title: 'This app cannot be looked up right now', text, reference }
  }
  if (error instanceof OAuthError && error.code === 'invalid_request_uri') {
    return { status: 410, headers: {}, title: notices.gone.title, text: [error.description, 'Start again from your app. You can close this page.'], reference }
  }
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
  const headers = error instanceof GatewayError ? error.headers : {}
  return { status, headers, title: 'Something failed', text: ['This is a fault of this site, not of your app. Try again later.'], reference }
}
