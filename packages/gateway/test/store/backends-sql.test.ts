import { startMariadb, startPostgres } from '../servers/sql.ts'
import { contractOn } from './backend-contract.ts'

contractOn('postgres', async () => [await startPostgres()])
contractOn('mariadb', async () => [await startMariadb()])
