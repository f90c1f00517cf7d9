import { type ErrorRequestHandler, type Response, Router, urlencoded } from 'express'
import type Provider from 'oidc-provider'

/** Who may log in: any name of these characters, without a password. That is what makes it a demo. */
const USER_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/

const page = (title: string, body: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 22rem; margin: 12vh auto; padding: 0 1rem }
label, input, button { display: block; box-sizing: border-box; width: 100%; font: inherit }
input, button { padding: .6rem; margin: .4rem 0 1rem }
</style>
</head>
<body>
${body}
</body>
</html>`

const loginPage = (problem = '') =>
  page(
    'Log in to Todo',
    `<h1>Log in to Todo</h1>
<p>This is the Todo team's own authorization server. Any user name logs in.</p>
${problem && `<p role="alert">${problem}</p>`}
<form method="post">
<label for="user">User name</label>
<input id="user" name="user" autocomplete="username" autocapitalize="none" required maxlength="64" autofocus>
<button type="submit">Log in</button>
</form>`,
  )

const overPage = page(
  'Start again',
  '<h1>Start again</h1><p>This login is over or was begun in another browser. Go back to your application and connect again.</p>',
)

function send(res: Response, status: number, html: string): void {
  res.status(status)
  res.set('Cache-Control', 'no-store')
  res.set('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
  res.set('X-Frame-Options', 'DENY')
  res.type('html').send(html)
}

/** The login form of the authorization server, at `/interaction/:uid`: the provider's cookie says whose interaction it is. */
export function loginRoutes(provider: Provider): Router {
  const router = Router()
  router.get('/interaction/:uid', async (req, res) => {
    await provider.interactionDetails(req, res)
    send(res, 200, loginPage())
  })
  router.post('/interaction/:uid', urlencoded({ extended: false, limit: '2kb', parameterLimit: 5 }), async (req, res) => {
    await provider.interactionDetails(req, res)
    const user: unknown = req.body?.user
    if (typeof user !== 'string' || !USER_NAME.test(user)) return send(res, 400, loginPage('Letters, digits and . _ @ - only, 64 at most.'))
    await provider.interactionFinished(req, res, { login: { accountId: user } }, { mergeWithLastSubmission: false })
  })
  const whenOver: ErrorRequestHandler = (error, _req, res, next) => (error?.name === 'SessionNotFound' ? send(res, 400, overPage) : next(error))
  router.use('/interaction', whenOver)
  return router
}
