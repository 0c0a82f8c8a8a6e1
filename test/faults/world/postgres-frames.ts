/** The Postgres protocol: a type byte, a length, a payload; only the first message of a session has no type. */
import type { PostgresFrame, Splitter } from "./frames.ts"
import { cutter } from "./frames.ts"

export const postgresSplitter = (): Splitter => {
  let application = ""
  let begun = false
  const statements = new Map<string, string>()

  const first = (bytes: Buffer): PostgresFrame | null => {
    if (bytes.length < 4) return null
    const length = bytes.readInt32BE(0)
    if (bytes.length < length) return null
    const words = bytes.toString("utf8", 8, length).split("\0")
    application = words[words.indexOf("application_name") + 1] ?? ""
    begun = true
    return { protocol: "postgres", bytes: bytes.subarray(0, length), type: "", application, query: "" }
  }

  const queryOf = (type: string, payload: Buffer): string => {
    if (type === "Q") return text(payload, 0)
    if (type === "P") {
      const name = text(payload, 0)
      const query = text(payload, Buffer.byteLength(name) + 1)
      statements.set(name, query)
      return query
    }
    return type === "B" ? (statements.get(text(payload, Buffer.byteLength(text(payload, 0)) + 1)) ?? "") : ""
  }

  const typed = (up: boolean) => (bytes: Buffer): PostgresFrame | null => {
    if (up && !begun) return first(bytes)
    if (bytes.length < 5) return null
    const length = 1 + bytes.readInt32BE(1)
    if (bytes.length < length) return null
    const type = String.fromCharCode(bytes[0]!)
    return { protocol: "postgres", bytes: bytes.subarray(0, length), type, application, query: up ? queryOf(type, bytes.subarray(5, length)) : "" }
  }
  return { up: cutter(typed(true)), down: cutter(typed(false)) }
}

/** The text from `from` to its zero byte. */
const text = (payload: Buffer, from: number): string => payload.toString("utf8", from, payload.indexOf(0, from))
