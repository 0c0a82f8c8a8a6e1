/**
 * A change as it stands in the streams: a JetStream message whose subject is the entity's address, whose body is the row
 * after the change as JSON (empty for a deletion), and whose headers are these.
 */

/** What happened to the row. READ: it was there when its table was backfilled. */
export type Operation = "INSERT" | "UPDATE" | "DELETE" | "READ"
export const OPERATIONS: ReadonlyArray<Operation> = ["INSERT", "UPDATE", "DELETE", "READ"]

/** What a client is told: a backfilled row is an inserted one. */
export type ClientOperation = Exclude<Operation, "READ">
export const toClientOperation = (operation: Operation): ClientOperation => (operation === "READ" ? "INSERT" : operation)

/** Header names. */
export const HEADER = {
  operation: "Tide-Op",
  /** `<xid>, <position>/<count>`: the transaction, and the 1-based place of this change in it. */
  transaction: "Tide-Tx",
  /** ISO 8601, UTC, microseconds: when the row was changed, by Postgres' clock. */
  at: "Tide-At",
  /** `tide.user_id` of the writing transaction. */
  user: "Tide-User",
  /** The id of the mutation that caused the change. */
  mutation: "Tide-Mutation",
  /** W3C trace context. */
  trace: "traceparent",
  /** On the last message of a batch: the relay's cursor (see services/outbox-relay/cursor.ts). */
  cursor: "Tide-Cursor",
  /** On the first message of a batch of several: the snapshot of the window it is of. Where only a part of a batch was stored, the relay goes on from there. */
  window: "Tide-Window",
  /** On `_acl` events that take something away: the row before, as JSON, so that a tombstone says what it took. */
  before: "Tide-Before",
} as const

/** Where a change stands in its transaction. The transaction is complete when `position` reaches `count`. */
export interface TransactionPlace {
  readonly xid: string
  readonly position: number
  readonly count: number
}

export const formatTransaction = (place: TransactionPlace): string => `${place.xid}, ${place.position}/${place.count}`

const transaction = /^(\d+), (\d+)\/(\d+)$/

/** The place that a `Tide-Tx` header names, or null where it is not one. */
export const parseTransaction = (header: string): TransactionPlace | null => {
  const match = transaction.exec(header)
  return match === null ? null : { xid: match[1]!, position: Number(match[2]), count: Number(match[3]) }
}

/** A header's value: control characters, blanks at the ends and `%` become `%XX`, so that no text can end a header or add one. */
export const encodeHeader = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  /[\u0000-\u001f\u007f%]|^ | $/.test(text) ? text.replace(/[\u0000-\u001f\u007f%]|^ | $/g, encodeURIComponent) : text

/** The text behind a header's value; a value that is not one of `encodeHeader` stands for itself. */
export const decodeHeader = (value: string): string => {
  if (!value.includes("%")) return value
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
