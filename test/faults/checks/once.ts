import type { Check } from "./check.ts"
import type { OutboxRow, StreamMessage } from "./evidence.ts"

const rowText = (row: OutboxRow): string => `outbox row ${row.id} (${row.op} ${row.subject}, transaction ${row.xid})`
const messageText = (message: StreamMessage): string => `message ${message.seq} (${message.operation} ${message.subject}, transaction ${message.transaction.xid})`

export const once: Check = {
  name: "once",
  promise: "every committed change is in the stream exactly once, and nothing else is",
  begin: () => {
    let last: number | null = null
    return ({ messages }, { pairs, missing }) => {
      const wrong = [
        ...missing.map((row) => `${rowText(row)} is not in the stream`),
        ...pairs.filter((pair) => pair.row === null).map(({ message }) => `${messageText(message)} is there twice, or is no committed change`),
      ]
      for (const { seq } of messages) {
        if (last !== null && seq !== last + 1) wrong.push(`message ${seq} follows ${last}`)
        last = seq
      }
      return wrong
    }
  },
}
