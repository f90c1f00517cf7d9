import { expect } from '@jest/globals'
import type { Page } from './browser.ts'

/** What a browser is told that was stopped: the status and the heading of a page of ours. */
export type Stop = [status: number, heading: string]

/** Where attacks end, by name. */
export const stops = {
  otherBrowser: [403, 'Not the same browser'],
  noCookies: [403, 'Cookies are switched off here'],
  gone: [410, 'This request is over'],
  foreignForm: [403, 'Nothing was changed'],
  unclear: [400, 'Nothing was changed'],
  badRequest: [400, 'This app cannot be connected'],
} as const satisfies Record<string, Stop>

/** Holds that a browser ended on a page of the gateway: no redirect to anybody, no form to go on by, nothing that opens by itself. */
export function expectStopped(page: Page, [status, heading]: Stop): void {
  expect([page.status, /<h1[^>]*>([^<]*)<\/h1>/.exec(page.html)?.[1]]).toEqual([status, heading])
  expect([page.redirect, page.headers.get('location'), page.headers.get('refresh'), page.forms]).toEqual([undefined, null, null, []])
  expect(page.html).not.toMatch(/http-equiv="refresh"|<script/i)
}
