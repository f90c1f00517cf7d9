import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/** Addresses of a name: what the server answers the first, second … time that it is asked; the last answer stays. */
export type NameAnswers = string[][]

/** A DNS server of the test's own, over UDP. What it does not know does not exist (NXDOMAIN); every answer has a time to live of 0. */
export interface DnsServer {
  /** `127.0.0.1:port`. */
  address: string
  /** Names asked for, in order: once for IPv4 addresses and once for IPv6 ones. */
  readonly asked: { name: string; family: 4 | 6 }[]
  set(name: string, ...answers: NameAnswers): void
  close(): Promise<void>
}

const typeA = 1
const typeAaaa = 28

/** Starts one on a free port of loopback. */
export async function startDnsServer(): Promise<DnsServer> {
  const names = new Map<string, NameAnswers>()
  const asked: DnsServer['asked'] = []
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    const { name, type, end } = readQuestion(query)
    const family = type === typeAaaa ? 6 : 4
    const before = asked.filter((each) => each.name === name && each.family === family).length
    asked.push({ name, family })
    const answers = names.get(name)
    const addresses = answers?.[Math.min(before, answers.length - 1)] ?? []
    const fitting = type === typeA || type === typeAaaa ? addresses.filter((address) => address.includes(':') === (family === 6)) : []
    socket.send(answerTo(query, end, answers !== undefined, type, fitting), from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    set: (name, ...answers) => void names.set(name, answers),
    close: () => new Promise((closed) => socket.close(closed)),
  }
}

/** RFC 1035 §4.1.2; a question holds no compressed names. */
function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += length + 1
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function answerTo(query: Buffer, end: number, exists: boolean, type: number, addresses: string[]): Buffer {
  const head = Buffer.from(query.subarray(0, end))
  // Response, recursion available; NXDOMAIN for what is not known; no additional records.
  head.writeUInt16BE(0x8180 | (exists ? 0 : 3), 2)
  head.writeUInt16BE(addresses.length, 6)
  head.writeUInt32BE(0, 8)
  return Buffer.concat([head, ...addresses.map((address) => record(type, type === typeA ? Buffer.from(address.split('.').map(Number)) : bytesOf6(address)))])
}

/** Its name points at the question's. */
function record(type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(12)
  fixed.writeUInt16BE(0xc00c, 0)
  fixed.writeUInt16BE(type, 2)
  fixed.writeUInt16BE(1, 4)
  fixed.writeUInt16BE(data.length, 10)
  return Buffer.concat([fixed, data])
}

function bytesOf6(address: string): Buffer {
  const [front = '', back] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [left, right] = [groups(front), groups(back ?? '')]
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right]
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex')
}
