/** Who is at the other end, for the audit: never for a decision. */
import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"
import type { Peer } from "./world.ts"

const LOOPBACK = new Set(["127.0.0.1", "::1", "::ffff:127.0.0.1"])
/** Characters of a user agent that are kept. */
const AGENT_CHARS = 400

/** A proxy on this machine is believed about whom it speaks for; anybody else speaks for themselves. */
export const peerOf = ({ headers, socket }: IncomingMessage): Peer => {
  const direct = socket.remoteAddress ?? null
  const forwarded = headers["x-forwarded-for"]?.toString().split(",").at(-1)?.trim() ?? ""
  const ip = direct !== null && LOOPBACK.has(direct) && isIP(forwarded) !== 0 ? forwarded : direct
  return { userAgent: headers["user-agent"]?.slice(0, AGENT_CHARS) ?? null, ip }
}
