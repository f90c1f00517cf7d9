import type { Running } from './listen.ts'

/** Reads a setting from the environment; throws with its name when it is missing. */
export type Setting = (name: string) => string

/**
 * Runs one part of the demo as a process of its own: settings come by environment, and the parent hears over the channel between the two, which nobody
 * else can speak on, that it listens. It stops on SIGTERM and SIGINT, and when its parent is gone.
 */
export async function runAsProcess(start: (setting: Setting) => Promise<Running>): Promise<void> {
  const setting: Setting = (name) => {
    const value = process.env[name]
    if (!value) throw new Error(`The environment variable ${name} is missing`)
    return value
  }
  const running = await (async () => start(setting))().catch((error: Error) => {
    console.error(error.message)
    process.exit(1)
  })
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    await running.close()
    process.exit(0)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop)
  process.once('disconnect', stop)
  if (process.send) process.send({ url: running.url })
  else console.log(running.url)
}
