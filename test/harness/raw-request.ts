import { connect } from 'node:net'

/**
 * Sends bytes to a server and gives what came back, up to where it is whole: for requests that no HTTP library would send.
 *
 * @param origin of the server, http
 * @param whole whether the answer is complete; its head when left out
 */
export function sendRaw(origin: string, bytes: Buffer | string, whole: (answer: string) => boolean = (answer) => answer.includes('\r\n\r\n')): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(origin)
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
      if (whole(answer)) {
        socket.destroy()
        resolve(answer)
      }
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
  })
}
