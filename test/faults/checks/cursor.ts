import type { RelayCursor } from "../../../services/outbox-relay/cursor.ts"
import type { Check } from "./check.ts"
import type { Claims } from "./claims.ts"
import { claims, largestIds } from "./claims.ts"
import type { OutboxRow } from "./evidence.ts"

export const cursor: Check = {
  name: "cursor",
  promise: "the relay's cursor on each batch says what is published with it, no more and no less; what is noted in Postgres is in the stream",
  begin: () => {
    let before: Claims | null = null
    return ({ rows, messages, noted, head }, { pairs }) => {
      const wrong: Array<string> = []
      const largest = largestIds(rows)
      const rowOf = new Map(pairs.map(({ message, row }) => [message.seq, row]))
      let batch: Array<{ readonly seq: number; readonly row: OutboxRow }> = []
      let newest: RelayCursor | null = null
      for (const { seq, cursor } of messages) {
        const row = rowOf.get(seq)
        if (row !== undefined && row !== null) batch.push({ seq, row })
        if (cursor === null) continue
        const now = claims(cursor)
        for (const each of batch) {
          const tx = largest.get(each.row.xid)!
          if (before?.(each.row, tx) === true) wrong.push(`message ${each.seq} (outbox row ${each.row.id}) is in the stream after a cursor that says it is there already`)
          if (!now(each.row, tx)) wrong.push(`message ${each.seq} (outbox row ${each.row.id}) is in the stream, the cursor at ${seq} does not know`)
        }
        batch = []
        before = now
        newest = cursor
      }
      if (batch.length > 0) wrong.push(`${batch.length} messages from ${batch[0]!.seq} on are followed by no cursor`)
      if (before !== null) for (const row of rows) if (!before(row, largest.get(row.xid)!)) wrong.push(`the newest cursor does not know of outbox row ${row.id}`)
      if (noted === null) wrong.push("nothing is noted in Postgres")
      else {
        if (noted.acked > head.last) wrong.push(`${noted.acked} is noted as acknowledged, the stream ends at ${head.last}`)
        if (newest !== null && noted.epoch !== newest.epoch) wrong.push(`epoch ${noted.epoch} is noted, ${newest.epoch} is in force`)
      }
      return wrong
    }
  },
}
