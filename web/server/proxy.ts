/**
 * /v1 and /ws go on to the edges, so that a browser needs one address. The edges take turns; one that refuses the connection, or does not
 * answer it, is passed over and the next is tried: the body of a request is only read once an edge has taken it. What an edge
 * answers passes through as it comes: an event stream or a socket lives as long as both ends want.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { connect } from "node:net"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { request as httpRequest } from "node:http"
import { plain } from "./respond.ts"

/** Milliseconds an edge may take to accept a connection. */
const CONNECT_MS = 2_000
/** Milliseconds an edge that refused is asked last. */
const AVOID_MS = 2_000

/** Headers about one connection: they end here. */
const HOP = new Set(["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"])

export interface Proxy {
  readonly forward: (request: IncomingMessage, response: ServerResponse) => void
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Ends every open socket and stream. */
  readonly close: () => void
}

export const makeProxy = (edges: ReadonlyArray<URL>): Proxy => {
  const avoided = new Map<URL, number>()
  const open = new Set<Duplex>()
  let turn = 0

  const order = (): ReadonlyArray<URL> => {
    turn = (turn + 1) % edges.length
    const now = Date.now()
    const rotated = [...edges.slice(turn), ...edges.slice(0, turn)]
    return rotated.toSorted((a, b) => Number((avoided.get(a) ?? 0) > now) - Number((avoided.get(b) ?? 0) > now))
  }

  /** A connection to the first edge that takes one; null where none does. */
  const dial = (candidates: ReadonlyArray<URL>, found: (edge: URL, socket: Socket) => void, none: () => void): void => {
    const [edge, ...rest] = candidates
    if (edge === undefined) return none()
    const socket = connect({ host: edge.hostname, port: Number(edge.port), noDelay: true })
    const next = (): void => {
      socket.removeAllListeners()
      socket.on("error", () => undefined)
      socket.destroy()
      avoided.set(edge, Date.now() + AVOID_MS)
      dial(rest, found, none)
    }
    socket.setTimeout(CONNECT_MS, next)
    socket.once("error", next)
    socket.once("connect", () => {
      socket.removeAllListeners("timeout").removeAllListeners("error")
      socket.setTimeout(0)
      avoided.delete(edge)
      found(edge, socket)
    })
  }

  const track = (stream: Duplex): void => {
    open.add(stream)
    stream.once("close", () => open.delete(stream))
  }

  return {
    forward: (request, response) =>
      dial(
        order(),
        (edge, socket) => {
          track(socket)
          const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !HOP.has(name)))
          const onward = httpRequest({
            createConnection: () => socket,
            method: request.method,
            path: request.url,
            headers: { ...headers, ...forwarded(request), connection: "close" },
            setHost: false,
          })
          onward.once("response", (answer) => {
            const kept = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !HOP.has(name)))
            response.writeHead(answer.statusCode ?? 502, kept)
            response.flushHeaders()
            answer.pipe(response)
            answer.once("error", () => response.destroy())
          })
          onward.once("error", () => (response.headersSent ? response.destroy() : unavailable(response, edge.host)))
          response.once("close", () => onward.destroy())
          request.pipe(onward)
        },
        () => unavailable(response, edges.map((edge) => edge.host).join(", ")),
      ),

    upgrade: (request, client, head) => {
      client.once("error", () => client.destroy())
      dial(
        order(),
        (_edge, socket) => {
          if (client.destroyed) {
            socket.destroy()
            return
          }
          track(socket)
          track(client)
          socket.write(upgradeRequest(request))
          if (head.length > 0) socket.write(head)
          socket.pipe(client).pipe(socket)
          socket.once("error", () => client.destroy())
          socket.once("close", () => client.destroy())
          client.once("close", () => socket.destroy())
        },
        () => client.end("HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
      )
    },

    close: () => {
      for (const stream of open) stream.destroy()
    },
  }
}

/** Who really asked, for the audit: an edge believes these from its own machine only. */
const forwarded = (request: IncomingMessage): Record<string, string> => ({
  "x-forwarded-for": request.socket.remoteAddress ?? "",
  "x-forwarded-proto": "http",
  ...(request.headers.host === undefined ? {} : { "x-forwarded-host": request.headers.host }),
})

/** The handshake as it came, header by header: its order and case are the client's. */
const upgradeRequest = (request: IncomingMessage): string => {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`]
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at]!
    if (!name.toLowerCase().startsWith("x-forwarded-")) lines.push(`${name}: ${request.rawHeaders[at + 1]}`)
  }
  for (const [name, value] of Object.entries(forwarded(request))) lines.push(`${name}: ${value}`)
  return `${lines.join("\r\n")}\r\n\r\n`
}

const unavailable = (response: ServerResponse, tried: string): void =>
  plain(response, 503, `No edge answers (${tried}).\n`, { "retry-after": "1" })
