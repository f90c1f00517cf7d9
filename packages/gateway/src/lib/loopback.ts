/**
 * Whether a URL's host is this machine by its spelling: `localhost`, 127.0.0.0/8 or `[::1]` (RFC 8252 §7.3, RFC 6761 §6.3). No name is resolved.
 *
 * @param hostname as `URL.hostname` gives it: lower case, IPv6 in brackets, IPv4 in dotted decimals
 */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname)
}
