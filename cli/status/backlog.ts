/**
 * How far the relay is behind the outbox. Its cursor says what is published: every transaction that the snapshot `last` saw and, of
 * those that `window` sees beyond it, the ones up to (`tx`, `id`). See services/outbox-relay/.
 */
import { Effect, Schema } from "effect"
import type { Sql } from "postgres"
import { query } from "../connect.ts"
import type { CommandFailed } from "../failure.ts"

/** The relay's cursor as it stands in the `Tide-Cursor` header of the stream's last message. */
export const RelayCursor = Schema.Struct({
  epoch: Schema.String,
  last: Schema.String,
  window: Schema.NullOr(Schema.String),
  tx: Schema.Union([Schema.Finite, Schema.String]),
  id: Schema.Union([Schema.Finite, Schema.String]),
})
export type RelayCursor = typeof RelayCursor.Type

export interface Backlog {
  /** Committed changes that are not in the stream, counted up to `COUNTED`. */
  readonly events: number
  /** Milliseconds since the oldest of them was written, or 0. */
  readonly oldestMs: number
}

/** Rows counted at most: beyond, the exact number helps nobody. */
export const COUNTED = 1_000_000

/** Everything in the outbox where the cursor is null: nothing was published yet. */
export const backlog = (sql: Sql, cursor: RelayCursor | null): Effect.Effect<Backlog, CommandFailed> =>
  Effect.map(
    query(() => sql<Array<{ events: number; oldest_ms: number }>>`
      with published as (
        select ${cursor?.last ?? "1:1:"}::pg_snapshot as done, ${cursor?.window ?? cursor?.last ?? "1:1:"}::pg_snapshot as begun
      ), pending as (
        (select o.at from tide.outbox o, published p
          where (o.xid >= pg_snapshot_xmax(p.begun) or o.xid in (select pg_snapshot_xip(p.begun)))
            and not pg_visible_in_snapshot(o.xid, p.begun)
          limit ${COUNTED})
        union all
        (select o.at
           from published p
           join tide.outbox o on (o.xid >= pg_snapshot_xmax(p.done) or o.xid in (select pg_snapshot_xip(p.done)))
          where p.begun::text <> p.done::text
            and not pg_visible_in_snapshot(o.xid, p.done) and pg_visible_in_snapshot(o.xid, p.begun)
            and ((select max(t.id) from tide.outbox t where t.xid = o.xid), o.id) > (${String(cursor?.tx ?? 0)}::bigint, ${String(cursor?.id ?? 0)}::bigint)
          limit ${COUNTED})
      )
      select count(*)::int as events, coalesce(extract(epoch from clock_timestamp() - min(at)) * 1000, 0)::float8 as oldest_ms from pending`),
    (rows) => ({ events: rows[0]!.events, oldestMs: Math.max(0, Math.round(rows[0]!.oldest_ms)) }),
  )
