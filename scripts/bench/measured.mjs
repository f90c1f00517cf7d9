/** Tells the bench over the process's own channel where it listens, and its CPU time whenever asked; ends with its parent. */
export function report(url) {
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send({ cpuMs: (user + system) / 1000 })
  })
  process.once('disconnect', () => process.exit(0))
  process.send({ url })
}
