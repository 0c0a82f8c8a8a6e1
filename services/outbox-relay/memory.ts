/** What the relay notes in Postgres outside the stream, at most each second: enough to notice that the stream, or Postgres, is not the one it knew. */
import type { Sql } from "#db/postgres.ts"
import type { PostgresNow, Remembered } from "./epoch.ts"

export const recall = async (sql: Sql): Promise<{ remembered: Remembered | null; now: PostgresNow }> => {
  const [row] = await sql<Array<{ epoch: string | null; created: string; acked: string; system: string; xmax: string }>>`
    select s.epoch, s.stream_created as created, s.acked_seq as acked, tide.system_identifier() as system,
      pg_snapshot_xmax(pg_current_snapshot())::text as xmax
    from (values (1)) v left join tide.relay_state s on true`
  const { epoch, created, acked, system, xmax } = row!
  return {
    remembered: epoch === null ? null : { epoch, streamCreated: created, ackedSeq: Number(acked) },
    now: { system, xmax: BigInt(xmax) },
  }
}

export const note = async (sql: Sql, { epoch, streamCreated, ackedSeq }: Remembered): Promise<void> => {
  await sql`select tide.save_relay_state(${epoch}, ${streamCreated}, ${ackedSeq})`
}
