import { Browser, type Page } from './browser.ts'
import { rpc } from './scripted-client.ts'

/** A request of revision 2026-07-28 whose client says what it can. */
export function modernCall(capabilities: object, name = 'list_todos', more: object = {}, id = 5) {
  const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': capabilities }
  const message = { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {}, ...more, _meta } }
  return { message, headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name } }
}

/** Capabilities of a client that can let its user open a link. */
export const canOpenLinks = { elicitation: { url: {} } }

/** What a modern call was asked for. */
export interface Asked {
  resultType: string
  inputRequests: Record<string, { method: string; params: { mode: string; url: string; message: string } }>
  requestState: string
}

/** Calls a tool as a modern client that can open links, and gives the result, whatever it is. */
export async function callModern(url: string, token: string, more: object = {}): Promise<Record<string, unknown>> {
  const { message, headers } = modernCall(canOpenLinks, 'list_todos', more)
  const answer = await rpc(url, token, message, headers)
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`)
  return answer.message?.result as Record<string, unknown>
}

/** The link that a modern call of a dead grant brings. */
export async function linkOf(url: string, token: string): Promise<string> {
  const { inputRequests } = (await callModern(url, token)) as unknown as Asked
  return inputRequests['ai.emcy/reconnect']?.params.url ?? 'none'
}

/** A browser that knows nothing yet. */
export function newBrowser(): Browser {
  return new Browser(() => false)
}

/** Opens a link, presses a button of its page, and signs in where the provider asks for it, up to the page that says how it ended. */
export async function follow(browser: Browser, link: string, user: string, account: 'same' | 'other' = 'same'): Promise<Page> {
  let page = await press(browser, await browser.open(link), account)
  for (let step = 0; step < 4 && page.forms.length > 0 && page.url.origin !== new URL(link).origin; step++) page = await browser.answer(page, { user })
  return page
}

/** Presses a button of the page of a link. */
export function press(browser: Browser, page: Page, account: 'same' | 'other' = 'same'): Promise<Page> {
  return browser.submit(page, {}, (_label, name, value) => name === 'account' && value === account)
}
