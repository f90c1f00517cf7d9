// The parts of a bench: modules in processes of their own, which say where they listen.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { root } from '../run.mjs'

const children = []

/** Starts a module of the bench and waits until it says where it listens. */
export async function start(file, env = {}) {
  const child = fork(join(root, file), [], { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  children.push(child)
  const died = once(child, 'exit').then(([code]) => Promise.reject(new Error(`${file} ended with ${code}`)))
  died.catch(() => {})
  const ask = async (message) => {
    const answer = Promise.race([once(child, 'message'), died])
    child.send(message)
    return (await answer)[0]
  }
  const [{ url }] = await Promise.race([once(child, 'message'), died])
  return { url, ask }
}

/** How many parts have been started. */
export const started = () => children.length

/** Ends the parts that came after the first `kept`, and waits until they are gone. */
export async function stopParts(kept = 0) {
  for (const child of children.slice(kept)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const gone = once(child, 'exit')
    child.kill()
    await gone
  }
}
