import type { ConnectionFilter, ConnectionInfo } from '../account/connections-control.ts'
import type { Gateway } from '../gateway.ts'
import { withGateway } from './load-gateway.ts'

/** What the command is told. */
export interface ConnectionsOptions {
  config: string
  action: 'list' | 'revoke'
  /** Empty: all, which only `list` takes. */
  filter: ConnectionFilter
  /** One JSON line a connection in place of a table. */
  json: boolean
  print: (line: string) => void
}

const pageSize = 500

/** `emcy-gateway connections CONFIG list|revoke …` */
export async function connections({ config, action, filter, json, print }: ConnectionsOptions): Promise<void> {
  const show = json ? (info: ConnectionInfo) => print(JSON.stringify(info)) : (info: ConnectionInfo) => print(line(info))
  await withGateway(config, async (gateway) => {
    const shown = action === 'list' ? await list(gateway, filter, show) : await revoke(gateway, filter, show)
    if (!json) print(`${shown.toLocaleString('en')} connection${shown === 1 ? '' : 's'}${action === 'list' ? '' : ' ended'}`)
  })
}

async function list(gateway: Gateway, filter: ConnectionFilter, show: (info: ConnectionInfo) => void): Promise<number> {
  let shown = 0
  let cursor: string | undefined
  do {
    const page = await gateway.connections.list({ ...filter, cursor, limit: pageSize })
    for (const info of page.connections) show(info)
    shown += page.connections.length
    cursor = page.next
  } while (cursor !== undefined)
  return shown
}

async function revoke(gateway: Gateway, filter: ConnectionFilter, show: (info: ConnectionInfo) => void): Promise<number> {
  const ended = await gateway.connections.revoke(filter)
  for (const info of ended) show(info)
  return ended.length
}

function line({ connectionId, server, clientName, clientId, subject, lastUsedAt, expiresAt }: ConnectionInfo): string {
  const when = `last used ${day(lastUsedAt)}, until ${day(expiresAt)}`
  return `${connectionId}  ${server}  ${plain(clientName)} (${plain(clientId)})  ${plain(subject ?? 'no user')}  ${when}`
}

/** Names come from clients and providers: a terminal must not obey what is in them. */
function plain(text: string): string {
  return text.replace(/[\p{C}\p{Z}]+/gu, ' ').trim()
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}
