import type { Deps } from '../deps.ts'
import { inBackground } from '../log/background.ts'
import { type Connection, subjectKey } from './connection.ts'
import { unindexBySubject } from './index-by-subject.ts'
import { unindexFromShard } from './index-of-all.ts'

/** Takes a connection that has ended out of both indexes, beside the request. An id that stays because of a failure is dropped when it is met. */
export function unindex(deps: Pick<Deps, 'store' | 'clock' | 'config' | 'log'>, { id, identity }: Connection): void {
  const work = [unindexFromShard(deps, id), identity && unindexBySubject(deps, subjectKey(identity), id)]
  inBackground(deps.log, 'removing a connection from its index', Promise.all(work))
}
