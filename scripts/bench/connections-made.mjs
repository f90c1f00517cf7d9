// Makes connections as users do, by the library's own functions, and hands out the records that these leave in a store. A real sign-in costs a millisecond of computing, so of many
// connections one in twenty is made in full; the others are copies of these with ids, users, hashes and sealed values of their own: the same bytes but for what is random in them.
import { randomBytes } from 'node:crypto'
import { subjectKey } from '../../packages/gateway/src/connections/connection.ts'
import { ttlOf, use } from '../../packages/gateway/src/connections/connection-machine.ts'
import { newConnectionId, openConnection, redeemCode, refreshTokens } from '../../packages/gateway/src/connections/connections.ts'
import { shardOf } from '../../packages/gateway/src/connections/index-of-all.ts'
import { ownGrantKey } from '../../packages/gateway/src/grants/grant-key.ts'
import { saveGrant } from '../../packages/gateway/src/grants/grants.ts'
import { fingerprint } from '../../packages/gateway/src/keys/fingerprint.ts'
import { createKeyRing } from '../../packages/gateway/src/keys/key-ring.ts'
import { s256Challenge } from '../../packages/gateway/src/lib/pkce.ts'
import { recordKey } from '../../packages/gateway/src/store/schema.ts'

const day = 86_400
export const issuer = 'https://login.example.com'
const verifier = 'verifier-of-at-least-forty-three-characters-0123'
const client = { clientId: 'https://client.example/metadata.json', name: 'A client', trust: 'document' }
const redirectUri = 'http://127.0.0.1:4321/callback'
export const tokens = {
  accessTokenSeconds: day,
  refreshTokenSeconds: 30 * day,
  codeSeconds: 60,
  refreshGraceSeconds: 60,
  accessTokenFormat: 'opaque',
  signingKeys: [],
}

const lifeMs = tokens.refreshTokenSeconds * 1000

/** A store of a few records, which are taken out again; index records are only noted. */
function fewRecords(shards) {
  const records = new Map()
  const isIndex = (key) => key.startsWith('connections:')
  return {
    records,
    name: 'few records',
    atomicAcrossProcesses: false,
    get: async (key) => records.get(key)?.value,
    set: async (key, value, ttlMs) => void records.set(key, { value, ttlMs }),
    delete: async (key) => void records.delete(key),
    async compareAndSet(key, expected, next, ttlMs) {
      if (isIndex(key)) shards.get(key)?.push(...JSON.parse(next).ids) ?? shards.set(key, JSON.parse(next).ids)
      else if (records.get(key)?.value !== expected) return false
      else records.set(key, { value: next, ttlMs })
      return true
    },
  }
}

/**
 * @param resource of the server `todo`
 * @param secret that seals and signs
 */
export function connectionMaker(resource, secret) {
  const shards = new Map()
  const store = fewRecords(shards)
  const server = { id: 'todo', resource }
  const deps = {
    store,
    keys: createKeyRing([secret]),
    clock: Date.now,
    random: (bytes) => randomBytes(bytes).toString('base64url'),
    config: { tokens, scopeHierarchy: {}, servers: { todo: server } },
    log: { write: (event) => console.error(event), dropped: 0 },
  }
  /** One sign-in, its first refresh, and the use of what that gave. */
  async function connect(user) {
    const connectionId = newConnectionId(deps)
    const identity = { issuer, sub: user, name: `User ${user}`, claims: { email: `${user}@example.com` } }
    const grantKey = ownGrantKey('default', connectionId)
    const given = { accessToken: deps.random(48), refreshToken: deps.random(48), expiresIn: 30 * day, scopes: ['todos.read'] }
    // Twice the life of a new one: prolonged already, as the first use does, so that no call of the measurement has to.
    await saveGrant(deps, grantKey, { ...given, identity, provider: 'default', owner: connectionId, lifeSeconds: 2 * tokens.refreshTokenSeconds })
    const code = { challenge: s256Challenge(verifier), redirectUri }
    const opened = await openConnection(deps, { identity, client, server, scopes: ['todos.read'], grantKey, provider: 'default', code, connectionId })
    const first = await redeemCode(deps, { code: opened.code, clientId: client.clientId, verifier })
    const { response } = await refreshTokens(deps, { refreshToken: first.response.refresh_token, clientId: client.clientId })
    const key = `connection:${connectionId}`
    const { next } = use(JSON.parse(store.records.get(key).value), { tokenHash: fingerprint(response.access_token) }, Date.now())
    store.records.set(key, { value: JSON.stringify(next), ttlMs: ttlOf(next, Date.now()) })
    return response.access_token
  }
  /** A connection like one that was made: nobody holds its tokens, everything else of it is real. */
  function like({ grant, connection }, user) {
    const id = newConnectionId(deps)
    const identity = { issuer, sub: user, name: `User ${user}`, claims: { email: `${user}@example.com` } }
    const [key, grantKey] = [recordKey('connection', id), ownGrantKey('default', id)]
    const sealed = (bytes) => deps.keys.seal(deps.random(bytes), key)
    const hash = () => deps.random(32)
    const previous = { ...connection.refresh.previous, hash: hash(), sealedAccess: sealed(74), sealedRefresh: sealed(74) }
    const accessTokens = connection.accessTokens.map((entry) => ({ ...entry, hash: hash() }))
    const refresh = { ...connection.refresh, hash: hash(), previous }
    const tokensOfGrant = JSON.stringify({ accessToken: deps.random(48), refreshToken: deps.random(48) })
    const shard = recordKey('shard', String(shardOf(id)))
    shards.get(shard)?.push(id) ?? shards.set(shard, [id])
    return [
      [grantKey, JSON.stringify({ ...grant, owner: id, identity, sealed: deps.keys.seal(tokensOfGrant, grantKey) }), 2 * lifeMs],
      [key, JSON.stringify({ ...connection, id, identity, grantKey, usedCodeHash: hash(), accessTokens, refresh }), lifeMs],
      id,
    ]
  }
  let made = 0
  let template
  return {
    deps,
    /** Connections of users who have two each: some of their tokens, and all their records: [key, value, life in milliseconds]. */
    async make(count, inFull = 1 / 20) {
      const held = []
      const records = []
      for (const end = made + count; made < end; made += 2) {
        const user = `user-${made / 2}`
        if (!template || (made / 2) % Math.round(1 / inFull) === 0) {
          held.push(await connect(user), await connect(user))
          const all = [...store.records].map(([key, { value, ttlMs }]) => [key, value, ttlMs])
          const recordOf = (prefix) => JSON.parse(all.find(([key]) => key.startsWith(prefix))[1])
          template = { grant: recordOf('grant:'), connection: recordOf('connection:') }
          records.push(...all)
          store.records.clear()
          continue
        }
        const [first, second] = [like(template, user), like(template, user)]
        const subject = { v: 1, ids: [first.pop(), second.pop()], expiresAt: Date.now() + 3 * lifeMs }
        records.push(...first, ...second, [recordKey('subject', subjectKey({ issuer, sub: user })), JSON.stringify(subject), 3 * lifeMs])
      }
      return { tokens: held, records }
    },
    /** The records of the index of all, once everything is made. */
    index() {
      const life = 3650 * day * 1000
      return [...shards].map(([key, ids]) => [key, JSON.stringify({ v: 1, ids, expiresAt: Date.now() + life }), life])
    },
  }
}
