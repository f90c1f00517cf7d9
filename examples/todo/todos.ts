import { DatabaseSync } from 'node:sqlite'

/** One thing to do, as the API answers it. */
export interface Todo {
  id: number
  title: string
  done: boolean
}

/** The todos of all users in one SQLite file; every method touches those of one user only. */
export interface Todos {
  list(sub: string): Todo[]
  add(sub: string, title: string): Todo
  /** undefined: this user has no such todo. */
  complete(sub: string, id: number): Todo | undefined
  remove(sub: string, id: number): boolean
  close(): void
}

export function openTodos(path: string): Todos {
  const db = new DatabaseSync(path, { timeout: 5000 })
  db.exec(`
    pragma journal_mode = wal;
    create table if not exists todos (id integer primary key autoincrement, sub text not null, title text not null, done integer not null default 0);
    create index if not exists todos_sub on todos (sub);
  `)
  const list = db.prepare('select id, title, done from todos where sub = ? order by id')
  const add = db.prepare('insert into todos (sub, title) values (?, ?) returning id, title, done')
  const complete = db.prepare('update todos set done = 1 where sub = ? and id = ? returning id, title, done')
  const remove = db.prepare('delete from todos where sub = ? and id = ?')
  const todoOf = (row: Record<string, unknown>): Todo => ({ id: Number(row.id), title: String(row.title), done: row.done === 1 })
  return {
    list: (sub) => list.all(sub).map(todoOf),
    add: (sub, title) => todoOf(add.get(sub, title) as Record<string, unknown>),
    complete: (sub, id) => {
      const row = complete.get(sub, id)
      return row && todoOf(row)
    },
    remove: (sub, id) => remove.run(sub, id).changes === 1,
    close: () => db.close(),
  }
}
