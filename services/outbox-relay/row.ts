/** A row of `tide.outbox` becomes a message: subject, headers, body. The body is Postgres' own text, never parsed here. */
import type { Operation } from "#protocol/event.ts"
import { encodeHeader, formatTransaction, HEADER } from "#protocol/event.ts"
import { TOMBSTONE_DAYS } from "#protocol/limits.ts"
import { changeSubject, isAccessEntity } from "#protocol/subject.ts"

/** As window.ts selects it. Ids fit a number for the first nine quadrillion changes. */
export interface OutboxRow {
  readonly id: number
  readonly xid: string
  /** The largest id of the transaction: its place among transactions. */
  readonly tx: number
  /** Rows of the transaction. */
  readonly count: number
  readonly entity: string
  readonly entityId: string
  readonly scope: string | null
  readonly op: Operation
  /** The row after, as JSON text; null for a deletion. */
  readonly after: string | null
  /** The row before, as JSON text, where the message carries it. */
  readonly before: string | null
  /** ISO 8601, UTC, microseconds. */
  readonly at: string
  readonly user: string | null
  readonly mutation: string | null
  readonly trace: string | null
}

export interface OutboxMessage {
  readonly row: OutboxRow
  readonly subject: string
  /** Header lines, each with its line end. */
  readonly headers: string
  readonly body: string
  /** Of headers and body. */
  readonly bytes: number
}

/** How long STATE keeps what says that something is gone. */
export const TOMBSTONE_TTL = `${TOMBSTONE_DAYS * 24}h`

/** The message of the row, which is the `position`th (from 1) of its transaction. */
export const toMessage = (row: OutboxRow, position: number): OutboxMessage => {
  const body = row.after ?? ""
  const { op, xid, count, at, user, mutation, trace, before } = row
  let headers = `${HEADER.operation}: ${op}\r\n${HEADER.transaction}: ${formatTransaction({ xid, position, count })}\r\n${HEADER.at}: ${at}\r\n`
  if (user !== null) headers += `${HEADER.user}: ${encodeHeader(user)}\r\n`
  if (mutation !== null) headers += `${HEADER.mutation}: ${encodeHeader(mutation)}\r\n`
  if (trace !== null) headers += `${HEADER.trace}: ${encodeHeader(trace)}\r\n`
  if (body === "") headers += `Nats-TTL: ${TOMBSTONE_TTL}\r\n`
  if (before !== null && isAccessEntity(row.entity)) headers += `${HEADER.before}: ${encodeHeader(before)}\r\n`
  const subject = changeSubject({ scope: row.scope, entity: row.entity, id: row.entityId })
  return { row, subject, headers, body, bytes: Buffer.byteLength(headers) + Buffer.byteLength(body) }
}
