import type { ServerResponse } from 'node:http'
import { type PageOptions, sendPage } from '../http/respond.ts'

/** Some clients run the flow in a pop-up and are told of its end through its opener, which `same-origin` would cut off (use-mcp). */
export const forPopups: PageOptions = { headers: { 'cross-origin-opener-policy': 'unsafe-none' } }

/** Answers with one of the authorization server's own pages. */
export function sendFlowPage(res: ServerResponse, status: number, page: string, headers: Record<string, string> = {}): void {
  sendPage(res, status, page, { headers: { ...forPopups.headers, ...headers } })
}
