/** How large the outbox is and how fast it grows. */
import { Effect } from "effect"
import type { Sql } from "postgres"
import { query } from "../connect.ts"
import type { CommandFailed } from "../failure.ts"

export interface OutboxSize {
  readonly bytes: number
  readonly partitions: number
  readonly bytesADay: number
}

/** `published`: the snapshot of the relay's cursor, or null where there is none. */
export const readOutboxSize = (sql: Sql, published: string | null): Effect.Effect<OutboxSize, CommandFailed> =>
  Effect.map(
    query(() => sql<Array<OutboxSize>>`select bytes, partitions, bytes_a_day as "bytesADay" from tide.outbox_size(${published ?? "1:1:"}::text::pg_snapshot)`),
    ([found]) => found!,
  )
