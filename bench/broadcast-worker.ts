/** Floors of the edge: a bare `ws` server that sends the same frames to each of its sockets, or sends back what it is sent. */
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { setTimeout as after } from "node:timers/promises"
import { WebSocketServer } from "ws"
import { serve } from "./worker.ts"

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false })

// The floor of a round trip: what comes goes back.
server.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data as Buffer, { binary })))

const jobs = {
  port: async (): Promise<number> => {
    if (server.address() === null) await once(server, "listening")
    return (server.address() as AddressInfo).port
  },
  /** Sends every frame to every socket. Between two frames lies that much time, or where it is 0 a turn of the loop, as between two events that arrive. */
  send: async ({ frames, paceMs }: { readonly frames: ReadonlyArray<string>; readonly paceMs: number }): Promise<void> => {
    for (const frame of frames) {
      const bytes = Buffer.from(frame)
      for (const socket of server.clients) socket.send(bytes, { binary: false })
      await (paceMs === 0 ? new Promise(setImmediate) : after(paceMs))
    }
  },
}
export type BroadcastJobs = typeof jobs

serve(jobs)
