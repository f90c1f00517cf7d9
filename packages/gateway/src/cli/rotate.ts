import type { Rotation } from '../rotation/rotate-keys.ts'
import { withGateway } from './load-gateway.ts'

/** Most lines of progress a second apart, so that a million connections fill no screen. */
const progressEveryMs = 1_000

/** `emcy-gateway rotate CONFIG`: seals everything anew under the first of `secrets`, and says when the others may go. */
export async function rotate({ config, print }: { config: string; print: (line: string) => void }): Promise<void> {
  await withGateway(config, async (gateway) => {
    const started = performance.now()
    let shown = started
    const rotation = await gateway.rotateKeys({
      onProgress({ done, connections }) {
        if (done === 1 || performance.now() - shown < progressEveryMs) return
        shown = performance.now()
        print(`  ${Math.floor(done * 100)} %: ${count(connections, 'connection')}`)
      },
    })
    for (const line of summary(rotation, (performance.now() - started) / 1000)) print(line)
  })
}

function summary({ connections, resealed, unreadable, older }: Rotation, seconds: number): string[] {
  const lines = [`${count(connections, 'connection')} looked at in ${seconds.toFixed(1)} s, ${count(resealed, 'value')} sealed anew under secret 1`]
  if (unreadable > 0) lines.push(`${count(unreadable, 'value')} that no secret opens: the users behind them sign in again`)
  for (const { place, neededUntil } of older) {
    if (neededUntil === undefined) lines.push(`secret ${place}: nothing needs it any more; take it out of secrets`)
    else lines.push(`secret ${place}: tokens that it signed live until ${day(neededUntil)}; keep it in secrets until then`)
  }
  if (older.length === 0) lines.push('There is one secret only. To replace it, put the new one before it, restart every process, and run this again.')
  else lines.push('This holds when every process runs with these secrets; if one does not yet, restart it and run this again.')
  return lines
}

function count(number: number, what: string): string {
  return `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`
}

/** Up to the minute, and never too early. */
function day(time: number): string {
  return `${new Date(Math.ceil(time / 60_000) * 60_000).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}
