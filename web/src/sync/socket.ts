/** A WebSocket as three callbacks, of which none comes after `close`. Nothing is decided here: see session.ts. */
import { SUBPROTOCOL } from "#protocol/version.ts"

export interface Socket {
  readonly send: (text: string) => void
  readonly close: () => void
}

export interface SocketEvents {
  readonly onOpen: () => void
  readonly onText: (text: string) => void
  readonly onClose: (code: number, reason: string) => void
}

/** How a replica reaches an edge: a test gives another way. */
export type OpenSocket = (url: string, events: SocketEvents) => Socket

export const openWebSocket: OpenSocket = (url, { onOpen, onText, onClose }) => {
  const socket = new WebSocket(url, SUBPROTOCOL)
  let ended = false
  socket.onopen = () => {
    if (!ended) onOpen()
  }
  socket.onmessage = (event: MessageEvent) => {
    if (!ended && typeof event.data === "string") onText(event.data)
  }
  socket.onclose = (event) => {
    if (ended) return
    ended = true
    onClose(event.code, event.reason)
  }
  return {
    send: (text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text)
    },
    close: () => {
      ended = true
      socket.close(1000)
    },
  }
}
