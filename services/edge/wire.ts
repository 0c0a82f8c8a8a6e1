/**
 * A WebSocket text frame whose middle is shared by many connections: one small write each, or no copy at all of what is large. The library would
 * turn the same text into bytes anew for each of them.
 */
import type { Writable } from "node:stream"

const FINAL_TEXT = 0x81
/** Bytes above which the shared part is handed over instead of copied. */
const COPY_BYTES = 16 * 1024

/** Writes `head`, `body` and `tail` as one frame. Head and tail are ASCII. */
export const writeText = (socket: Writable, head: string, body: Buffer, tail: string): void => {
  const length = head.length + body.length + tail.length
  if (body.length > COPY_BYTES) {
    const start = headerBytes(length)
    const first = Buffer.allocUnsafe(start + head.length)
    header(first, length)
    first.write(head, start, "latin1")
    socket.cork()
    socket.write(first)
    socket.write(body)
    socket.write(tail, "latin1")
    socket.uncork()
    return
  }
  const start = headerBytes(length)
  const frame = Buffer.allocUnsafe(start + length)
  header(frame, length)
  frame.write(head, start, "latin1")
  body.copy(frame, start + head.length)
  frame.write(tail, start + head.length + body.length, "latin1")
  socket.write(frame)
}

const headerBytes = (length: number): number => (length < 126 ? 2 : length < 65_536 ? 4 : 10)

/** As a server writes it: final, text, not masked (RFC 6455, 5.2). */
const header = (frame: Buffer, length: number): void => {
  frame[0] = FINAL_TEXT
  if (length < 126) frame[1] = length
  else if (length < 65_536) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeUInt32BE(0, 2)
    frame.writeUInt32BE(length, 6)
  }
}
