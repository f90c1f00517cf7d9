// Loaded before the gateway's process starts (--import): names below `.test` are asked of the test's own DNS server instead of the machine's resolver. What answers is a part of the
// operating system; everything that the gateway does with an answer is its own.

import promises, { Resolver } from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'

const resolver = new Resolver({ timeout: 2_000, tries: 2 })
resolver.setServers([process.env.DNS_SERVER ?? ''])
const ofMachine = promises.lookup

async function lookup(name: string): Promise<{ address: string; family: number }[]> {
  const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
  const found = [
    ...(four.status === 'fulfilled' ? four.value.map((address) => ({ address, family: 4 })) : []),
    ...(six.status === 'fulfilled' ? six.value.map((address) => ({ address, family: 6 })) : []),
  ]
  if (found.length === 0) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: name })
  return found
}

promises.lookup = ((name: string, options: object) => (/\.test\.?$/.test(name) ? lookup(name) : ofMachine(name, options))) as typeof promises.lookup
syncBuiltinESMExports()
