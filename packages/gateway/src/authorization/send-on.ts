import type { ServerResponse } from 'node:http'
import type { Config } from '../config.ts'
import { sendPage, sendRedirect } from '../http/respond.ts'
import { formPostPage } from '../pages/form-post-page.ts'
import { hostOf, looksOf } from '../visitor/looks.ts'
import { formFields, type ResponseTarget } from './authorization-response.ts'
import { forPopups } from './flow-page.ts'

/** Sends the browser on by redirect; or with a form, where the client asked to be posted its answer and this is one. */
export function sendOn(res: ServerResponse, config: Pick<Config, 'consent' | 'origin'>, target: ResponseTarget, url: string): void {
  if (!sendFormPost(res, config, target, url)) sendRedirect(res, url)
}

/**
 * Answers with the form of `response_mode=form_post`, if that is how the client gets this. Its one script only submits it; without scripts there is a button.
 *
 * @returns whether it did
 */
export function sendFormPost(res: ServerResponse, config: Pick<Config, 'consent' | 'origin'>, target: ResponseTarget, url: string): boolean {
  const fields = formFields(target, url)
  if (fields === undefined) return false
  const page = formPostPage(looksOf(config), hostOf(config), { action: target.redirectUri, fields })
  // The client may send the browser on from where the form goes, and Chromium holds `form-action` against that too.
  sendPage(res, 200, page, { ...forPopups, formAction: 'any', script: true })
  return true
}
