/** What a cursor says, computed a second way: not by what the relay reads after it, but row by row. */
import type { RelayCursor } from "../../../services/outbox-relay/cursor.ts"
import type { Snapshot } from "../../../services/outbox-relay/snapshot.ts"
import { parseSnapshot, sees } from "../../../services/outbox-relay/snapshot.ts"
import type { OutboxRow } from "./evidence.ts"

/** Whether a row is published, by a cursor's word. `tx`: the largest id of its transaction. */
export type Claims = (row: OutboxRow, tx: number) => boolean

export const claims = (cursor: RelayCursor): Claims => {
  const last = parseSnapshot(cursor.last)!
  const window: Snapshot | null = cursor.window === null ? null : parseSnapshot(cursor.window)
  return (row, tx) => {
    const xid = BigInt(row.xid)
    return sees(last, xid) || (window !== null && sees(window, xid) && (tx < cursor.tx || (tx === cursor.tx && row.id <= cursor.id)))
  }
}

/** Transaction → its largest outbox id. */
export const largestIds = (rows: ReadonlyArray<OutboxRow>): ReadonlyMap<string, number> => {
  const largest = new Map<string, number>()
  for (const { id, xid } of rows) largest.set(xid, Math.max(id, largest.get(xid) ?? 0))
  return largest
}
