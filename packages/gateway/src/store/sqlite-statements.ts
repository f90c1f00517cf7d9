import type { DatabaseSync } from 'node:sqlite'

/** Expired rows removed at a time: the pause is short, and one write adds one row at most, so removal outruns growth. */
export const removedAtOnce = 100

/**
 * The statements of the SQLite store. Each is one atomic step of its own; a row that expired counts as absent in every one. Numbers reach SQLite as floating
 * point, so units are cast: a counter stays a whole number.
 */
export function prepareStatements(database: DatabaseSync) {
  return {
    get: database.prepare('SELECT value FROM entries WHERE key = ? AND expires > ?'),
    set: database.prepare(`
      INSERT INTO entries (key, value, expires) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires`),
    delete: database.prepare('DELETE FROM entries WHERE key = ?'),
    take: database.prepare('DELETE FROM entries WHERE key = ? RETURNING value, expires'),
    create: database.prepare(`
      INSERT INTO entries (key, value, expires) VALUES (?, ?, ?)
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires WHERE entries.expires <= ?`),
    replace: database.prepare('UPDATE entries SET value = ?, expires = ? WHERE key = ? AND CAST(value AS TEXT) = ? AND expires > ?'),
    spend: database.prepare(`
      INSERT INTO entries (key, value, expires) VALUES (:key, CAST(:cost AS INTEGER), :now + :ttl)
      ON CONFLICT (key) DO UPDATE SET
        value = CASE WHEN entries.expires > :now THEN entries.value ELSE 0 END + excluded.value,
        expires = CASE WHEN entries.expires > :now THEN entries.expires ELSE excluded.expires END
      WHERE entries.expires <= :now OR (typeof(entries.value) = 'integer' AND entries.value + excluded.value <= :limit)
      RETURNING value`),
    refund: database.prepare(`
      UPDATE entries SET value = max(0, value + CAST(:cost AS INTEGER))
      WHERE key = :key AND expires > :now AND expires <= :now + :ttl AND typeof(value) = 'integer'
      RETURNING value`),
    removeExpired: database.prepare(`
      DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE expires <= ? ORDER BY expires LIMIT ${removedAtOnce})`),
  }
}
