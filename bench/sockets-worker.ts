/**
 * Many WebSocket clients in one process, as cheap as can be, so that what is measured is the server: sockets that count
 * bytes and look for a mark, and parse nothing. One of them, the probe, keeps its frames.
 */
import { connect } from "node:net"
import type { Socket } from "node:net"
import { randomBytes } from "node:crypto"
import { serve } from "./worker.ts"

export interface OpenSockets {
  readonly port: number
  readonly path: string
  readonly protocol: string | null
  readonly count: number
}

export interface Seen {
  /** Milliseconds since 1970 at which one of them saw the first of what was waited for. */
  readonly since: number
  /** Milliseconds since 1970 at which the last of them saw the mark. */
  readonly at: number
  /** Bytes that all of them have received since they were open. */
  readonly bytes: number
  /** Text frames of the probe since the last question. */
  readonly frames: ReadonlyArray<string>
}

interface Client {
  readonly socket: Socket
  bytes: number
  /** The end of the last chunk: a mark may lie across two. */
  tail: Buffer
  found: boolean
}

const clients: Array<Client> = []
let probed: Array<Buffer> = []
let mark: Buffer | null = null
let missing = 0
/** A text that every frame of interest holds, and when one first came since the last question. */
let first = { text: Buffer.alloc(0), at: 0 }
let wanted: (() => void) | null = null

const expectMark = (text: string): Promise<void> => {
  mark = Buffer.from(text)
  missing = clients.length
  for (const client of clients) client.found = false
  return new Promise((resolve) => (wanted = resolve))
}

const received = (client: Client, chunk: Buffer): void => {
  client.bytes += chunk.length
  if (client === clients[0]) probed.push(chunk)
  if (first.at === 0 && first.text.length > 0 && chunk.includes(first.text)) first.at = Date.now()
  if (mark === null || client.found) return
  client.found = chunk.includes(mark) || Buffer.concat([client.tail, chunk.subarray(0, mark.length)]).includes(mark)
  client.tail = chunk.length >= mark.length ? chunk.subarray(-mark.length) : Buffer.concat([client.tail, chunk]).subarray(-mark.length)
  if (client.found && --missing === 0) wanted?.()
}

/** A masked text frame; a mask of zeros leaves the text as it is. */
const frame = (text: string): Buffer => {
  const body = Buffer.from(text)
  const head = body.length < 126 ? Buffer.from([0x81, 0x80 | body.length]) : Buffer.from([0x81, 0xfe, body.length >> 8, body.length & 255])
  return Buffer.concat([head, Buffer.alloc(4), body])
}

/** The text frames in what a server sent. */
const framesOf = (bytes: Buffer): Array<string> => {
  const frames: Array<string> = []
  for (let at = 0; at + 2 <= bytes.length; ) {
    const opcode = bytes[at]! & 15
    const short = bytes[at + 1]! & 127
    const [length, start] = short < 126 ? [short, at + 2] : short === 126 ? [bytes.readUInt16BE(at + 2), at + 4] : [Number(bytes.readBigUInt64BE(at + 2)), at + 10]
    if (opcode === 1) frames.push(bytes.toString("utf8", start, start + length))
    at = start + length
  }
  return frames
}

const open = (to: OpenSockets): Promise<Client> =>
  new Promise((resolve, reject) => {
    const socket = connect(to.port, "127.0.0.1")
    socket.setNoDelay(true)
    socket.once("error", reject)
    socket.write([
      `GET ${to.path} HTTP/1.1`, `Host: 127.0.0.1:${to.port}`, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`, ...(to.protocol === null ? [] : [`Sec-WebSocket-Protocol: ${to.protocol}`]), "", "",
    ].join("\r\n"))
    let head = Buffer.alloc(0)
    const upgrade = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk])
      const end = head.indexOf("\r\n\r\n")
      if (end === -1) return
      socket.off("data", upgrade)
      if (!head.includes("101 Switching")) return reject(new Error(head.toString("utf8", 0, end).split("\r\n")[0]))
      const client: Client = { socket, bytes: 0, tail: Buffer.alloc(0), found: false }
      clients.push(client)
      socket.on("data", (bytes: Buffer) => received(client, bytes))
      const rest = head.subarray(end + 4)
      if (rest.length > 0) received(client, rest)
      resolve(client)
    }
    socket.on("data", upgrade)
  })

/** Sockets that are opened at once: a listen queue is not endless. */
const AT_ONCE = 50

const jobs = {
  open: async (to: OpenSockets): Promise<void> => {
    for (let done = 0; done < to.count; done += AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, to.count - done) }, () => open(to)))
    }
  },
  /** Each sends the text, and waits until it has seen another. Gives the frames of the probe. */
  say: async ({ text, until }: { readonly text: string; readonly until: string }): Promise<ReadonlyArray<string>> => {
    const seen = expectMark(until)
    for (const { socket } of clients) socket.write(frame(text))
    await seen
    const frames = framesOf(Buffer.concat(probed))
    probed = []
    return frames
  },
  /** Each sends the text at its place, and waits until it has seen another. */
  sayEach: async ({ texts, until }: { readonly texts: ReadonlyArray<string>; readonly until: string }): Promise<void> => {
    const seen = expectMark(until)
    for (const [i, { socket }] of clients.entries()) socket.write(frame(texts[i]!))
    await seen
    probed = []
  },
  /** Waits until every client has seen `mark`. Ask before it is sent. `kind`: a text that every frame of interest holds. */
  see: async ({ mark: text, kind }: { readonly mark: string; readonly kind: string }): Promise<Seen> => {
    first = { text: Buffer.from(kind), at: 0 }
    await expectMark(text)
    const at = Date.now()
    const frames = framesOf(Buffer.concat(probed)).filter((one) => one.includes(kind))
    probed = []
    return { since: first.at, at, bytes: clients.reduce((n, client) => n + client.bytes, 0), frames }
  },
  close: (): void => {
    for (const { socket } of clients.splice(0)) socket.destroy()
  },
}
export type SocketsJobs = typeof jobs

serve(jobs)
