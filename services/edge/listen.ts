/**
 * The edge's front door: one HTTP server, which turns `/ws` into connections and hands everything else to http.ts. What can be refused
 * before there is a connection is refused here: a full or unready edge, a page of another origin, another version of the protocol.
 */
import { Effect, Schema } from "effect"
import type { Scope } from "effect"
import type { IncomingMessage, RequestListener, Server } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import type { RawData } from "ws"
import { WebSocket, WebSocketServer } from "ws"
import type { Close } from "#protocol/close.ts"
import { CLOSE } from "#protocol/close.ts"
import { CLOSING_MS, DRAIN_MS, FRAME_UP_BYTES } from "#protocol/limits.ts"
import { PROTOCOL_VERSION, SUBPROTOCOL } from "#protocol/version.ts"
import type { Connection } from "./connection.ts"
import type { Edge } from "./edge.ts"
import type { Origins } from "./origins.ts"
import { isAllowed } from "./origins.ts"
import { peerOf } from "./peer.ts"
import { writeText } from "./wire.ts"

/** The port could not be taken. */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  message: Schema.String,
  hint: Schema.String,
}) {}

export interface Listen {
  readonly host: string
  readonly port: number
  readonly origins: Origins
  readonly edge: Edge
  readonly http: RequestListener
  /** Milliseconds over which connections are sent away at the end; DRAIN_MS unless told. */
  readonly drainMs?: number
}

/** Frames that the library refuses end with our code, not the library's. */
class EdgeWebSocket extends WebSocket {
  onRefused: ((code: number) => void) | null = null

  override close(code?: number, data?: string | Buffer): void {
    const refused = this.onRefused
    this.onRefused = null
    if (refused !== null && code !== undefined && LIBRARY_CODES.has(code)) return refused(code)
    super.close(code, data)
  }
}

const TOO_BIG = 1009
/** Protocol error, not consistent (bad UTF-8), too big. */
const LIBRARY_CODES = new Set([1002, 1007, TOO_BIG])

/** Serves for as long as the scope lives; then sends connections away first. Answers the port. */
export const listen = (options: Listen): Effect.Effect<number, ListenError, Scope.Scope> =>
  Effect.gen(function* () {
    const sockets = new WebSocketServer({
      noServer: true,
      maxPayload: FRAME_UP_BYTES,
      perMessageDeflate: false,
      WebSocket: EdgeWebSocket,
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    })
    const server = createServer(options.http)
    server.on("upgrade", (request, socket, head) => upgrade(options, sockets, request, socket, head))
    yield* Effect.acquireRelease(bind(server, options), () =>
      Effect.promise(async () => {
        await options.edge.drain(options.drainMs ?? DRAIN_MS)
        await closed(server, sockets)
      }),
    )
    return (server.address() as AddressInfo).port
  })

const bind = (server: Server, { host, port }: Listen): Effect.Effect<void, ListenError> =>
  Effect.callback((resume) => {
    server.once("error", (error) =>
      resume(Effect.fail(new ListenError({ message: `${host}:${port}: ${error.message}`, hint: "TIDELINE_EDGE_PORT: a port that is free" }))),
    )
    server.listen(port, host, () => resume(Effect.void))
  })

/** Gives closing handshakes a moment, then ends what is left. */
const closed = async (server: Server, sockets: WebSocketServer): Promise<void> => {
  const done = new Promise<void>((resolve) => server.close(() => resolve()))
  const timer = setTimeout(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.closeAllConnections()
  }, CLOSING_MS)
  server.closeIdleConnections()
  await done
  clearTimeout(timer)
}

const upgrade = ({ edge, origins }: Listen, sockets: WebSocketServer, request: IncomingMessage, raw: Duplex, head: Buffer): void => {
  // What goes wrong with a socket is told by its end.
  raw.on("error", () => raw.destroy())
  const url = URL.parse(request.url ?? "/", "http://edge")
  if (url?.pathname !== "/ws") return deny(raw, 404, "Not Found", "the WebSocket is at /ws")
  const { world } = edge
  if (world === null) return deny(raw, 503, "Service Unavailable", edge.reasons().join("; "))
  if (!edge.hasRoom) return deny(raw, 503, "Service Unavailable", "the edge has as many connections as it may")
  const refusal = refusalOf(origins, request, url)
  sockets.handleUpgrade(request, raw, head, (client) => {
    const socket = client as EdgeWebSocket
    socket.on("error", () => socket.terminate())
    if (refusal !== null) return socket.close(CLOSE[refusal].code, CLOSE[refusal].reason)
    const connection = edge.accept(
      world,
      {
        send: (text) => socket.send(text),
        // Nothing is compressed or sent in fragments, so the library has nothing under way that this could come between.
        sendShared: (head, body, tail) => {
          if (socket.readyState === WebSocket.OPEN) writeText(raw, head, body, tail)
        },
        cork: () => raw.cork(),
        uncork: () => raw.uncork(),
        buffered: () => socket.bufferedAmount,
        close: (code, reason) => socket.close(code, reason),
        terminate: () => socket.terminate(),
        ping: () => socket.ping(),
        pause: () => socket.pause(),
        resume: () => socket.resume(),
      },
      peerOf(request),
    )
    attach(socket, raw, connection)
    const token = url.searchParams.get("token")
    if (token !== null && token !== "") connection.token(token)
  })
}

const attach = (socket: EdgeWebSocket, raw: Duplex, connection: Connection): void => {
  socket.onRefused = (code) => {
    if (code === TOO_BIG) connection.badFrame("too_large", `a frame has more than ${FRAME_UP_BYTES} bytes`, "send less at a time")
    else connection.badFrame("malformed", "not a WebSocket frame of valid text", "text frames, UTF-8")
  }
  socket.on("message", (data: RawData, isBinary: boolean) => {
    if (isBinary) connection.badFrame("malformed", "a binary frame", "frames are JSON text")
    else connection.text((data as Buffer).toString())
  })
  socket.on("pong", () => connection.alive())
  socket.on("close", () => connection.socketClosed())
  raw.on("drain", () => connection.socketDrained())
}

/** Why the connection is ended as soon as it is there: only so is a browser told the code. */
const refusalOf = (origins: Origins, request: IncomingMessage, url: URL): Close | null => {
  if (!isAllowed(origins, request.headers.origin, request.headers.host)) return "originRefused"
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim()).filter((one) => one !== "")
  if (offered.length > 0 && !offered.includes(SUBPROTOCOL)) return "versionNotSpoken"
  const version = url.searchParams.get("v")
  return version === null || version === String(PROTOCOL_VERSION) ? null : "versionNotSpoken"
}

/** Seconds after which a client that was not let in may try again. */
const RETRY_AFTER_S = 1

const deny = (raw: Duplex, status: number, reason: string, message: string): void => {
  const body = `${JSON.stringify({ code: status === 404 ? "not_found" : "unavailable", message, hint: status === 404 ? "GET /v1/schema" : "try another edge, or later" })}\n`
  raw.end(
    `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `${status === 503 ? `Retry-After: ${RETRY_AFTER_S}\r\n` : ""}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
