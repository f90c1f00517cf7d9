import ipaddr from 'ipaddr.js'

/**
 * Whether an address may belong to a host on the public internet: none of the special-use ranges (RFC 6890; CR-13, CR-14). An IPv6 address that carries an IPv4 one
 * (mapped, NAT64) is judged by that; of the rest of IPv6 only global unicast, 2000::/3, is public.
 *
 * @param address IPv4 or IPv6 as a resolver gives it; what cannot be read is not public
 */
export function isPublicAddress(address: string): boolean {
  const read = readAddress(address)
  if (!read) return false
  if (read instanceof ipaddr.IPv4) return read.range() === 'unicast'
  return read.range() === 'unicast' && read.match(globalUnicast)
}

/** Whether an address is this machine: 127.0.0.0/8 or ::1. */
export function isLoopbackAddress(address: string): boolean {
  return readAddress(address)?.range() === 'loopback'
}

const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3')
const nat64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96')

function readAddress(address: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (!ipaddr.isValid(address)) return undefined
  const read = ipaddr.parse(address)
  if (read instanceof ipaddr.IPv4) return read
  if (read.isIPv4MappedAddress()) return read.toIPv4Address()
  return read.match(nat64) ? new ipaddr.IPv4(read.toByteArray().slice(12)) : read
}

/**
 * What counts as one source for a rate: an IPv4 address, or the /64 of an IPv6 address, since one host has a whole /64 to choose from.
 *
 * @returns the text itself when it is no address
 */
export function sourceNetwork(address: string): string {
  const read = readAddress(address)
  if (!(read instanceof ipaddr.IPv6)) return read?.toString() ?? address
  return `${read.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}
