import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A browser on the machine of a client that opens one: the program goes through the pages as the user (browser-command.ts). */
export interface OpenedBrowser {
  /** Variables of the client's environment under which every way of opening a browser finds ours. */
  env: Record<string, string>
  /** The authorize URLs that were opened and answered, in order. */
  visits(): Promise<string[]>
  close(): Promise<void>
}

const command = fileURLToPath(new URL('./browser-command.ts', import.meta.url))

/** Puts the scripted browser where clients look for one: `BROWSER`, and `xdg-open` on the PATH. */
export async function openedBrowser(user: string): Promise<OpenedBrowser> {
  const folder = await mkdtemp(join(tmpdir(), 'emcy-browser-'))
  const [program, log] = [join(folder, 'xdg-open'), join(folder, 'visits')]
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${command}' "$@" >>'${folder}/errors' 2>&1\n`)
  await chmod(program, 0o755)
  return {
    env: { BROWSER: program, PATH: `${folder}${delimiter}${process.env.PATH}`, BROWSER_LOG: log, TEST_USER: user },
    async visits() {
      const errors = await readFile(join(folder, 'errors'), 'utf8').catch(() => '')
      if (errors.includes('Error')) throw new Error(`the browser failed: ${errors}`)
      const visits = await readFile(log, 'utf8').catch(() => '')
      return visits.split('\n').filter((line) => line !== '')
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
}
