/** A stored message becomes a change. Only the relay writes the streams, so what does not decode is somebody's mistake. */
import type { MsgHdrs } from "@nats-io/nats-core"
import type { Operation, TransactionPlace } from "#protocol/event.ts"
import { decodeHeader, HEADER, OPERATIONS, parseTransaction } from "#protocol/event.ts"
import { parseSubject } from "#protocol/subject.ts"
import type { LogMessage } from "./log.ts"

const operations = new Set<string>(OPERATIONS)

/** The change, or in words why it is none. `storedAt` in milliseconds since 1970. */
export const decodeMessage = (
  seq: number,
  subject: string,
  storedAt: number,
  headers: MsgHdrs | undefined,
  data: Uint8Array,
): LogMessage | string => {
  const address = parseSubject(subject)
  if (address === null) return "its subject is not an address"
  let operation: string | null = null
  let transaction: TransactionPlace | null = null
  let at: string | null = null
  let user: string | null = null
  let mutation: string | null = null
  let trace: string | null = null
  let before: string | null = null
  // One pass: a look-up by name in these headers walks them all.
  for (const [name, values] of headers ?? []) {
    const value = values[0]!
    switch (name) {
      case HEADER.operation: operation = value; break
      case HEADER.transaction: transaction = parseTransaction(value); break
      case HEADER.at: at = value; break
      case HEADER.user: user = decodeHeader(value); break
      case HEADER.mutation: mutation = decodeHeader(value); break
      case HEADER.trace: trace = decodeHeader(value); break
      case HEADER.before: before = decodeHeader(value); break
    }
  }
  if (operation === null || !operations.has(operation)) return `it has no ${HEADER.operation}`
  if (transaction === null) return `it has no ${HEADER.transaction}`
  if (at === null) return `it has no ${HEADER.at}`
  const body = data.length === 0 ? "" : Buffer.from(data.buffer, data.byteOffset, data.length).toString("utf8")
  return { seq, subject, address, operation: operation as Operation, body, at, user, mutation, trace, before, transaction, storedAt }
}

/** Where a delivered message stands, from its reply subject. */
export interface Delivery {
  readonly seq: number
  /** Counts up by one with each message of a consumer. */
  readonly delivered: number
  /** Nanoseconds since 1970, as text: what tells a stored message from another under the same sequence. */
  readonly time: string
  /** Messages that match and are still to come. */
  readonly pending: number
}

/** `$JS.ACK.<stream>.<consumer>.<tries>.<seq>.<delivered>.<time>.<pending>`, or with domain and account (and a last token) after `ACK`. */
export const parseDelivery = (reply: string): Delivery => {
  const tokens = reply.split(".")
  const seq = tokens.length === 9 ? 5 : 7
  return { seq: Number(tokens[seq]), delivered: Number(tokens[seq + 1]), time: tokens[seq + 2]!, pending: Number(tokens[seq + 3]) }
}

export const millisOf = (nanos: string): number => Number(nanos) / 1_000_000
