import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { storeContract } from '../../src/store/contract.ts'
import type { TestServer } from '../servers/program.ts'
import { type Kind, kinds, openBackend } from './open-backend.ts'

/**
 * Holds the store contract on a real server: 50 callers in 5 processes, 200 rounds of each race, by every way a team may come to it.
 *
 * @param name what the names of these ways begin with
 */
export function contractOn(name: string, start: () => Promise<TestServer[]>): void {
  describe(`the store contract on a real ${name}`, () => {
    let started: TestServer[] = []
    beforeAll(async () => {
      started = await start()
    }, 120_000)
    afterAll(() => Promise.all(started.map((server) => server.remove())))
    const ports = () => started.map(({ port }) => port)

    for (const kind of Object.keys(kinds).filter((one) => one.startsWith(`${name},`)) as Kind[]) {
      const processes = {
        // The port is known only when the server runs, and the checks are named before.
        get module() {
          return `${new URL('./open-backend.ts', import.meta.url)}?kind=${encodeURIComponent(kind)}&ports=${ports().join(',')}`
        },
        // The address is another way to the same statements, so a quarter is enough.
        rounds: kind.endsWith('address') ? 50 : 200,
      }
      for (const check of storeContract({ name: kind, open: () => openBackend(kind, ports(), 20_000), processes })) it(check.name, check.run, 120_000)
      it(`${kind}: is atomic across processes, and says so`, async () => {
        const store = openBackend(kind, ports(), 1_000)
        expect(store.atomicAcrossProcesses).toBe(true)
        await store.close()
      })
    }
  })
}
