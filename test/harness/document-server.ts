import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { nativeClientMetadata } from './oauth-provider.ts'

/** A web site that hosts client metadata documents (CIMD). */
export interface DocumentServer {
  /** URL of a valid document of a native client: its `client_id`. */
  url: string
  /** File with the certificate that the gateway's process must trust (NODE_EXTRA_CA_CERTS). */
  caFile: string
  /** Serves a document under `https://localhost:port/<name>`; members override those of the native client. */
  publish(name: string, members: Record<string, unknown>, options?: { headers?: Record<string, string>; status?: number }): string
  /** Paths asked for, in order. */
  readonly requests: string[]
  close(): Promise<void>
}

/** Starts an https server on loopback with a certificate of its own: real clients insist on https for their metadata document. */
export async function startDocumentServer(): Promise<DocumentServer> {
  const folder = await mkdtemp(join(tmpdir(), 'emcy-documents-'))
  const [keyFile, caFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile]
  await promisify(execFile)('openssl', ['req', '-x509', ...key, '-out', caFile, '-days', '2', ...subject])
  const documents = new Map<string, { body: string; headers: Record<string, string>; status: number }>()
  const requests: string[] = []
  const server = createServer({ key: await readFile(keyFile), cert: await readFile(caFile) }, (req, res) => {
    requests.push(req.url ?? '')
    const document = documents.get(req.url ?? '')
    res.writeHead(document?.status ?? 404, { 'content-type': 'application/json', ...document?.headers }).end(document?.body)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const origin = `https://localhost:${(server.address() as AddressInfo).port}`
  const publish: DocumentServer['publish'] = (name, members, options = {}) => {
    const url = `${origin}/${name}`
    const body = JSON.stringify({ client_id: url, ...nativeClientMetadata, ...members })
    documents.set(`/${name}`, { body, headers: options.headers ?? {}, status: options.status ?? 200 })
    return url
  }
  return {
    url: publish('client.json', { client_name: 'Document Client' }),
    caFile,
    publish,
    requests,
    async close() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
      await rm(folder, { recursive: true, force: true })
    },
  }
}
