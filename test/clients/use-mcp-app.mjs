// The page of a web app that connects to the gateway by use-mcp: bundled for the browser by test/clients/use-mcp.test.ts.
import { createElement, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { onMcpAuthorization } from 'use-mcp'
import { useMcp } from 'use-mcp/react'

function App({ url }) {
  const mcp = useMcp({ url, clientName: 'Web App', autoReconnect: false })
  useEffect(() => {
    window.mcp = mcp
  })
  const tools = mcp.tools.map(({ name }) => createElement('li', { key: name }, name))
  return createElement('main', null, createElement('output', null, mcp.error ?? mcp.state), createElement('ul', null, tools))
}

if (window.location.pathname === '/oauth/callback') onMcpAuthorization()
else
  createRoot(document.body.appendChild(document.createElement('div'))).render(
    createElement(App, { url: new URLSearchParams(window.location.search).get('server') }),
  )
