import type { Deps } from '../deps.ts'
import { changeRecord, readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Client } from './client.ts'

/** What a user is asked to approve, or approved. */
export interface ApprovalRequest {
  /** As `subjectKey` names the user. */
  subject: string
  client: Pick<Client, 'clientId' | 'metadataHash'>
  serverId: string
  redirectUri: string
  scopes: string[]
}

/** A remembered consent: for each redirect host, the scopes that were approved there. */
interface Approval {
  v: 1
  metadataHash: string
  hosts: { host: string; scopes: string[] }[]
  /** Milliseconds since the epoch. */
  renewedAt: number
}

const lifeMs = 365 * 86_400_000
const renewMs = 86_400_000
const maxHosts = 10

/**
 * Whether the user approved this before (AZ-6): the same client with the same metadata, at the same server, for this redirect host, and every scope asked now.
 * Use renews it, at most daily.
 */
export async function readApproval(deps: Pick<Deps, 'store' | 'clock'>, request: ApprovalRequest): Promise<boolean> {
  const key = approvalKey(request.subject, request.client.clientId, request.serverId)
  const stored = await readRecord<Approval>(deps.store, 'approval', key)
  if (!stored || !covers(stored.value, request)) return false
  const now = deps.clock()
  if (now - stored.value.renewedAt > renewMs) {
    const renewed: Approval = { ...stored.value, renewedAt: now }
    await deps.store.compareAndSet(key, stored.raw, JSON.stringify(renewed), lifeMs)
  }
  return true
}

/** Remembers an approval for a year. What was approved under other metadata of this client is forgotten with that (AZ-13). */
export async function saveApproval(deps: Pick<Deps, 'store' | 'clock'>, request: ApprovalRequest): Promise<void> {
  const key = approvalKey(request.subject, request.client.clientId, request.serverId)
  const host = redirectHost(request.redirectUri)
  await changeRecord<Approval, undefined>(deps.store, 'approval', key, (current) => {
    const same = current?.metadataHash === request.client.metadataHash ? current.hosts : []
    const before = same.find((entry) => entry.host === host)?.scopes ?? []
    const entry = { host, scopes: [...new Set([...before, ...request.scopes])] }
    const hosts = [entry, ...same.filter((other) => other.host !== host)].slice(0, maxHosts)
    return { do: 'write', next: { v: 1, metadataHash: request.client.metadataHash, hosts, renewedAt: deps.clock() }, ttlMs: lifeMs, answer: undefined }
  })
}

/** Forgets what a user approved for a client at a server, for example when they disconnect it. */
export async function forgetApproval(deps: Pick<Deps, 'store'>, approval: { subject: string; clientId: string; serverId: string }): Promise<void> {
  await deps.store.delete(approvalKey(approval.subject, approval.clientId, approval.serverId))
}

function covers(approval: Approval, request: ApprovalRequest): boolean {
  if (approval.metadataHash !== request.client.metadataHash) return false
  const host = redirectHost(request.redirectUri)
  const approved = approval.hosts.find((entry) => entry.host === host)?.scopes
  return approved !== undefined && request.scopes.every((scope) => approved.includes(scope))
}

function approvalKey(subject: string, clientId: string, serverId: string): string {
  return recordKey('approval', subject, clientId, serverId)
}

/** Scheme, host and port; on http (which is loopback only) without the port, which a native client picks anew each run. */
function redirectHost(uri: string): string {
  const url = new URL(uri)
  return url.protocol === 'http:' ? `http://${url.hostname}` : `${url.protocol}//${url.host}`
}
