/**
 * The network between one service and one server: a loopback port of our own that passes whole protocol messages on, and can be cut
 * (every connection is reset, new ones too), hang (bytes are taken and held, in one direction or both: a half-open link), be slow, or
 * stop at one message exactly, where a trap says so.
 */
import { once } from "node:events"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import type { Direction, Frame, Splitter } from "./frames.ts"

/** hold: neither this message nor a later one of its connection and direction goes on. hold after: this one does, no later one. */
export type Verdict = "pass" | "hold" | "hold after"

/** Sees every message. */
export interface Watch {
  /** A message is about to go on. */
  readonly pass: (frame: Frame, direction: Direction) => Verdict
  /** A message has come; others may wait before it. */
  readonly come?: (frame: Frame, direction: Direction) => void
}

export interface Link {
  readonly name: string
  readonly port: number
  readonly watch: (watch: Watch | null) => void
  /** Messages that were held by a verdict go on. */
  readonly release: () => void
  /** Connections with messages held by a verdict are reset, and these are lost. */
  readonly drop: () => void
  readonly cut: () => void
  readonly hang: (directions: ReadonlyArray<Direction>) => void
  /** Each message takes so many milliseconds. */
  readonly slow: (ms: number) => void
  /** As good as new; what hung goes on. */
  readonly mend: () => void
  readonly close: () => Promise<void>
}

interface Lane {
  readonly pump: () => void
  readonly held: () => boolean
  readonly release: () => void
}

export const openLink = async (name: string, serverPort: number, splitter: () => Splitter): Promise<Link> => {
  let watch: Watch | null = null
  let refusing = false
  let hung: ReadonlyArray<Direction> = []
  let delay = 0
  const connections = new Map<Socket, { readonly server: Socket; readonly lanes: ReadonlyArray<Lane> }>()

  /** One direction of one connection: a queue, from which messages go on in their order. */
  const lane = (source: Socket, target: Socket, direction: Direction, split: (chunk: Buffer) => ReadonlyArray<Frame>): Lane => {
    const queue: Array<{ readonly frame: Frame; readonly due: number }> = []
    let held: "no" | "yes" | "passing" = "no"
    let ended = false
    let timer: NodeJS.Timeout | undefined
    const pump = (): void => {
      clearTimeout(timer)
      while (queue.length > 0) {
        if (held === "yes" || hung.includes(direction)) return
        const { frame, due } = queue[0]!
        const wait = due - performance.now()
        if (wait > 0) return void (timer = setTimeout(pump, wait))
        const verdict = held === "passing" ? "pass" : (watch?.pass(frame, direction) ?? "pass")
        if (verdict === "hold") return void (held = "yes")
        if (held === "passing") held = "no"
        if (verdict === "hold after") held = "yes"
        queue.shift()
        if (!target.destroyed && !target.write(frame.bytes)) {
          source.pause()
          target.once("drain", () => source.resume())
        }
      }
      if (ended && held !== "yes" && !hung.includes(direction)) target.end()
    }
    source.on("data", (chunk: Buffer) => {
      for (const frame of split(chunk)) {
        queue.push({ frame, due: delay === 0 ? 0 : performance.now() + delay })
        pump()
        watch?.come?.(frame, direction)
      }
    })
    source.once("close", () => {
      ended = true
      pump()
    })
    return {
      pump,
      held: () => held === "yes",
      release: () => {
        if (held !== "yes") return
        // The message that was held has been judged already.
        held = queue.length > 0 ? "passing" : "no"
        pump()
      },
    }
  }

  const server = createServer((client) => {
    client.on("error", () => client.destroy())
    if (refusing) return void client.resetAndDestroy()
    client.setNoDelay(true)
    const onward = connect({ port: serverPort, host: "127.0.0.1", noDelay: true })
    onward.on("error", () => client.destroy())
    const split = splitter()
    connections.set(client, { server: onward, lanes: [lane(client, onward, "up", split.up), lane(onward, client, "down", split.down)] })
    client.once("close", () => {
      // A lane that holds or hangs keeps its far end in the dark: the other side learns of it when it is mended.
      const forget = (): void => void connections.delete(client)
      if (onward.destroyed) forget()
      else onward.once("close", forget)
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")

  const lanes = (): ReadonlyArray<Lane> => [...connections.values()].flatMap((connection) => connection.lanes)
  const reset = (which: (lanes: ReadonlyArray<Lane>) => boolean): void => {
    for (const [client, connection] of connections) {
      if (!which(connection.lanes)) continue
      connections.delete(client)
      for (const socket of [client, connection.server]) if (!socket.destroyed) socket.resetAndDestroy()
    }
  }
  const mend = (): void => {
    refusing = false
    hung = []
    delay = 0
    for (const { pump } of lanes()) pump()
  }
  return {
    name,
    port: (server.address() as AddressInfo).port,
    watch: (next) => void (watch = next),
    release: () => lanes().forEach((each) => each.release()),
    drop: () => reset((both) => both.some((each) => each.held())),
    cut: () => {
      refusing = true
      reset(() => true)
    },
    hang: (directions) => void (hung = directions),
    slow: (ms) => void (delay = ms),
    mend,
    close: async () => {
      refusing = true
      reset(() => true)
      server.close()
      await once(server, "close")
    },
  }
}
