import { DatabaseSync } from 'node:sqlite'
import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider'

/**
 * Storage of an oidc-provider in one SQLite file, so that sessions, grants and refresh tokens outlive a restart.
 *
 * @returns what the provider's `adapter` option takes, and `close` for the end
 */
export function sqliteAdapter(path: string): { adapter: AdapterFactory; close(): void } {
  const db = new DatabaseSync(path, { timeout: 5000 })
  db.exec(`
    pragma journal_mode = wal;
    create table if not exists oidc (
      model text not null, id text not null, payload text not null, expires_at integer,
      grant_id text, uid text, user_code text, primary key (model, id)) without rowid;
    create index if not exists oidc_grant on oidc (grant_id);
    create index if not exists oidc_uid on oidc (model, uid);
    create index if not exists oidc_user_code on oidc (model, user_code);
    create index if not exists oidc_expiry on oidc (expires_at);
  `)
  const now = () => Math.floor(Date.now() / 1000)
  const live = '(expires_at is null or expires_at > ?)'
  const find = (column: 'id' | 'uid' | 'user_code') => db.prepare(`select payload from oidc where model = ? and ${column} = ? and ${live}`)
  const statements = {
    byId: find('id'),
    byUid: find('uid'),
    byUserCode: find('user_code'),
    upsert: db.prepare('insert or replace into oidc values (?, ?, ?, ?, ?, ?, ?)'),
    consume: db.prepare("update oidc set payload = json_set(payload, '$.consumed', ?) where model = ? and id = ?"),
    remove: db.prepare('delete from oidc where model = ? and id = ?'),
    removeGrant: db.prepare('delete from oidc where model = ? and grant_id = ?'),
    sweep: db.prepare('delete from oidc where expires_at <= ?'),
  }
  const payloadOf = (row: unknown): AdapterPayload | undefined => (row ? JSON.parse((row as { payload: string }).payload) : undefined)

  const adapter = (model: string): Adapter => ({
    find: async (id) => payloadOf(statements.byId.get(model, id, now())),
    findByUid: async (uid) => payloadOf(statements.byUid.get(model, uid, now())),
    findByUserCode: async (userCode) => payloadOf(statements.byUserCode.get(model, userCode, now())),
    upsert: async (id, payload, expiresIn) => {
      statements.sweep.run(now())
      const expiresAt = expiresIn ? now() + expiresIn : null
      statements.upsert.run(model, id, JSON.stringify(payload), expiresAt, payload.grantId ?? null, payload.uid ?? null, payload.userCode ?? null)
    },
    consume: async (id) => void statements.consume.run(now(), model, id),
    destroy: async (id) => void statements.remove.run(model, id),
    revokeByGrantId: async (grantId) => void statements.removeGrant.run(model, grantId),
  })
  return { adapter, close: () => db.close() }
}
