import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Client } from '../clients/client.ts'
import { clientLogo } from '../clients/client-logo.ts'
import { parseParams } from '../http/params.ts'
import { sendEmpty, sendImage } from '../http/respond.ts'
import { queryOf } from '../http/route.ts'
import type { FrontDeps } from './front-deps.ts'
import { openTransaction } from './transaction.ts'

/** GET /client-logo?transaction=…: our copy of a client's logo (CR-16), for the browser that is at that transaction's consent page and nobody else. */
export async function showClientLogo(deps: FrontDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const transaction = await openTransaction(deps, req, parseParams(queryOf(req)))
  const logo = 'status' in transaction ? undefined : await clientLogo(deps, transaction.client)
  if (logo) sendImage(res, logo.type, logo.bytes)
  else sendEmpty(res, 404)
}

/** Where the consent page finds the logo; undefined for a client that has none to show. */
export function clientLogoUrl({ config }: Pick<FrontDeps, 'config'>, transaction: string, client: Client): string | undefined {
  if (client.trust !== 'document' || client.logoUri === undefined) return undefined
  return `${config.issuer}${config.endpoints.clientLogo}?transaction=${transaction}`
}
