/** The NATS client protocol: a line, and for four verbs a payload of the length that the line ends with. */
import type { NatsFrame, Splitter } from "./frames.ts"
import { cutter } from "./frames.ts"

const CRLF = "\r\n"
const WITH_PAYLOAD = new Set(["PUB", "HPUB", "MSG", "HMSG"])
const WITH_HEADERS = new Set(["HPUB", "HMSG"])

const take = (bytes: Buffer): NatsFrame | null => {
  const end = bytes.indexOf(CRLF)
  if (end === -1) return null
  const words = bytes.toString("latin1", 0, end).split(" ")
  const verb = words[0]!.toUpperCase()
  if (!WITH_PAYLOAD.has(verb)) return { protocol: "nats", bytes: bytes.subarray(0, end + 2), verb, subject: "", headers: "", body: "" }
  const length = Number(words.at(-1))
  const begin = end + 2
  if (bytes.length < begin + length + 2) return null
  const headerLength = WITH_HEADERS.has(verb) ? Number(words.at(-2)) : 0
  return {
    protocol: "nats",
    bytes: bytes.subarray(0, begin + length + 2),
    verb,
    subject: words[1]!,
    headers: bytes.toString("utf8", begin, begin + headerLength),
    body: verb === "MSG" || verb === "HMSG" ? bytes.toString("utf8", begin + headerLength, begin + length) : "",
  }
}

export const natsSplitter = (): Splitter => ({ up: cutter(take), down: cutter(take) })
