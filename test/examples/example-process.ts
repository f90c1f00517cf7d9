import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { createInterface } from 'node:readline'

/** An example that runs as its user starts it. */
export interface ExampleProcess {
  /** Both outputs so far, line by line. */
  readonly lines: string[]
  /** Its exit code; null when a signal ended it. */
  readonly ended: Promise<number | null>
  /**
   * Waits for a line that matches, one that has been there already counts.
   *
   * @param from how many lines to pass over
   * @throws Error with the output when the process ends before
   */
  line(pattern: RegExp, from?: number): Promise<RegExpExecArray>
  /** Ends it and waits for its end; gives the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

/** Starts the file of an example in a process of its own. */
export function startExample(file: string, args: string[], env: Record<string, string>): ExampleProcess {
  const lines: string[] = []
  const told = new EventEmitter()
  const child = spawn(process.execPath, [file, ...args], { env: { ...process.env, NODE_OPTIONS: '', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      told.emit('line')
    })
  }
  let over = false
  const ended = once(child, 'close').then(([code]) => {
    over = true
    told.emit('line')
    return code as number | null
  })
  return {
    lines,
    ended,
    async line(pattern, from = 0) {
      for (;;) {
        for (const line of lines.slice(from)) {
          const match = pattern.exec(line)
          if (match) return match
        }
        if (over) throw new Error(`the example ended before it printed ${pattern}:\n${lines.join('\n')}`)
        await once(told, 'line')
      }
    },
    async stop(signal = 'SIGTERM') {
      if (!over) child.kill(signal)
      return ended
    },
  }
}
