// The program that the environment variable BROWSER names for a client that opens the user's browser: it goes through the pages as TEST_USER, then to
// the client's callback. Python's webbrowser starts it with the URL as its last argument.
import { appendFile } from 'node:fs/promises'
import { Browser, callbackOf } from './browser.ts'

const url = process.argv.at(-1) ?? ''
const redirectUri = new URL(url).searchParams.get('redirect_uri') ?? ''
const page = await new Browser(redirectUri).authorize(url, { user: process.env.TEST_USER ?? '' })
callbackOf(page)
const deadline = Date.now() + 20_000
// The client starts to listen only after it has opened the browser; a person is slower than that.
for (;;) {
  const answer = await fetch(page.redirect ?? '').catch(() => undefined)
  if (answer !== undefined || Date.now() > deadline) break
  await new Promise((again) => setTimeout(again, 50))
}
await appendFile(process.env.BROWSER_LOG ?? '/dev/null', `${url}\n`)
