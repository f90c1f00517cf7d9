import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '../../../../test/harness/ports.ts'
import { asUser, installed, output, startServer, type TestServer } from './program.ts'

function postgresBin(name: string): string {
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a))
  return installed(...versions.map((version) => `/usr/lib/postgresql/${version}/bin/${name}`))
}

/** Debian's PostgreSQL; user and database `app`, no password. */
export async function startPostgres(): Promise<TestServer> {
  const [port = 0] = await freePorts(1)
  const place = (folder: string) => join(folder, 'data')
  return startServer(
    {
      command: postgresBin('postgres'),
      user: 'postgres',
      // fsync stays on: what it has promised must be there after a crash of the process, which costs nothing here, and of the machine.
      args: (folder) => [
        '-D',
        place(folder),
        '-p',
        String(port),
        '-c',
        'listen_addresses=127.0.0.1',
        '-c',
        `unix_socket_directories=${folder}`,
        '-c',
        'max_connections=200',
      ],
      async prepare(folder) {
        const options = { cwd: folder, ...asUser('postgres') }
        await output(postgresBin('initdb'), ['-D', place(folder), '-U', 'app', '--auth=trust', '--no-locale', '-E', 'UTF8', '-N'], options)
      },
      async isReady(folder) {
        const found = await output('psql', ['-h', '127.0.0.1', '-p', String(port), '-U', 'app', '-d', 'postgres', '-Atc', 'show data_directory'])
        return found.trim() === place(folder)
      },
    },
    port,
  )
}

/** Debian's MariaDB; user `app` without password, database `app`. */
export async function startMariadb(): Promise<TestServer> {
  const [port = 0] = await freePorts(1)
  const place = (folder: string) => join(folder, 'data')
  const mariadb = (...args: string[]) => output('mariadb', ['--no-defaults', '-h', '127.0.0.1', '-P', String(port), '-u', 'root', '-N', '-B', '-e', ...args])
  const server = await startServer(
    {
      command: installed('/usr/sbin/mariadbd'),
      user: 'mysql',
      args: (folder) => [
        ...['--no-defaults', ...(process.getuid?.() === 0 ? ['--user=mysql'] : []), `--datadir=${place(folder)}`, '--bind-address=127.0.0.1', `--port=${port}`],
        ...[`--socket=${folder}/s`, `--pid-file=${folder}/pid`, '--skip-name-resolve', '--max-connections=300'],
      ],
      async prepare(folder) {
        const args = ['--no-defaults', `--datadir=${place(folder)}`, '--auth-root-authentication-method=normal', '--skip-test-db']
        await output('mariadb-install-db', args, { cwd: folder, ...asUser('mysql') })
      },
      async isReady(folder) {
        return (await mariadb('select @@datadir')).trim().replace(/\/$/, '') === place(folder)
      },
    },
    port,
  )
  await mariadb("create database app; create user app@'127.0.0.1'; grant all on app.* to app@'127.0.0.1'")
  return server
}
