/** Rows of the outbox and messages of the stream, each with its counterpart. Pure. */
import type { LogMessage } from "#nats/log.ts"
import { claims, largestIds } from "./claims.ts"
import type { OutboxRow, StreamMessage } from "./evidence.ts"

/** Rows and messages that are the same change. */
export interface Pairs {
  readonly pairs: ReadonlyArray<{ readonly message: StreamMessage; readonly row: OutboxRow | null }>
  /** Rows of which there is no message. */
  readonly missing: ReadonlyArray<OutboxRow>
  /** CHANGES was made anew and its mirror was not: what came before is in STATE alone. */
  readonly shortened: boolean
}

const isEpoch = (message: LogMessage): boolean => message.address.entity === "_epoch"

export const changes = (messages: ReadonlyArray<StreamMessage>): ReadonlyArray<StreamMessage> => messages.filter((message) => !isEpoch(message))
export const epochs = (messages: ReadonlyArray<StreamMessage>): ReadonlyArray<StreamMessage> => messages.filter(isEpoch)

/** Each message with the first row of the same transaction, address, operation and body that has no message yet. */
export const pair = (rows: ReadonlyArray<OutboxRow>, messages: ReadonlyArray<StreamMessage>): Pairs => {
  const waiting = new Map<string, Array<OutboxRow>>()
  const key = (subject: string, xid: string, op: string, body: string): string => `${subject} ${xid} ${op} ${body}`
  for (const row of rows) {
    const same = key(row.subject, row.xid, row.op, row.after)
    const list = waiting.get(same)
    if (list === undefined) waiting.set(same, [row])
    else list.push(row)
  }
  const pairs = changes(messages).map((message) => {
    const same = waiting.get(key(message.subject, message.transaction.xid, message.operation, message.body))
    return { message, row: same?.shift() ?? null }
  })
  const missing = [...waiting.values()].flat()
  // A stream that begins with an epoch which goes on from somewhere need not have what was before: STATE has it.
  const opening = messages[0] !== undefined && isEpoch(messages[0]) ? messages.find((message) => message.cursor !== null)?.cursor : null
  if (opening === null || opening === undefined) return { pairs, missing, shortened: false }
  const had = claims(opening)
  const largest = largestIds(rows)
  const isHad = (row: OutboxRow): boolean => had(row, largest.get(row.xid)!)
  return { pairs, missing: missing.filter((row) => !isHad(row)), shortened: rows.some(isHad) }
}
