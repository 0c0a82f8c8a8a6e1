/** The network between one client and the edges, which a test can cut: a loopback port that passes bytes on while it is up. */
import { once } from "node:events"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"

export interface Link {
  readonly port: number
  /** Every connection breaks, and new ones are refused. */
  readonly cut: () => void
  /** Passes on to this port from now on. */
  readonly restore: (edgePort: number) => void
  readonly close: () => Promise<void>
}

export const openLink = async (edgePort: number): Promise<Link> => {
  let to: number | null = edgePort
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on("error", () => socket.destroy())
    socket.once("close", () => sockets.delete(socket))
    return socket
  }
  const server = createServer((client) => {
    if (to === null) return void client.destroy()
    const edge = keep(connect(to, "127.0.0.1"))
    keep(client)
    client.pipe(edge).pipe(client)
    client.once("close", () => edge.destroy())
    edge.once("close", () => client.destroy())
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const cut = (): void => {
    to = null
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    restore: (port) => void (to = port),
    close: async () => {
      cut()
      server.close()
      await once(server, "close")
    },
  }
}
