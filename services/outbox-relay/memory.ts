/**
 * What the relay notes in Postgres outside the stream, at most each second and before it opens an epoch: enough to notice that the stream,
 * or Postgres, is not the one it knew.
 */
import type { Sql } from "#db/postgres.ts"
import type { Open, PostgresNow, Remembered } from "./epoch.ts"
import type { StreamEnd, Witness } from "./stream-end.ts"

/** `published`: what the stream's end says to be in the outbox. */
export const recall = async (sql: Sql, published: ReadonlyArray<Witness>): Promise<{ remembered: Remembered | null; now: PostgresNow }> => {
  const [row] = await sql<Array<{ epoch: string | null; created: string; state: string | null; acked: string; remembers: string | null; dropped: string | null; system: string; snapshot: string }>>`
    select s.epoch, s.stream_created as created, s.state_created as state, s.acked_seq as acked, s.system_identifier as remembers, s.dropped_xid::text as dropped,
      tide.system_identifier() as system, pg_current_snapshot()::text as snapshot
    from (values (1)) v left join tide.relay_state s on true`
  const { epoch, created, state, acked, remembers, dropped, system, snapshot } = row!
  return {
    remembered: epoch === null ? null : { epoch, streamCreated: created, stateCreated: state, ackedSeq: Number(acked) },
    now: {
      system, remembers, snapshot,
      dropped: dropped === null ? null : BigInt(dropped),
      missing: await missing(sql, published),
      loaded: remembers !== system && (await loaded(sql, remembers !== null)),
    },
  }
}

const missing = async (sql: Sql, published: ReadonlyArray<Witness>): Promise<PostgresNow["missing"]> => {
  if (published.length === 0) return []
  const rows = await sql<Array<{ seq: string; xid: string }>>`
    select w.seq, w.xid from jsonb_to_recordset(${JSON.stringify(published)}::text::jsonb) w(seq bigint, xid text, entity text, id text, at timestamptz)
    where not exists (
      select from tide.outbox o where o.xid = w.xid::xid8 and o.entity = w.entity and o.entity_id = w.id and o.at = w.at)`
  return rows.map(({ seq, xid }) => ({ seq: Number(seq), xid }))
}

/**
 * Whether the outbox's rows came from a dump (or by logical replication) and not by the transactions they name. A row's own xmin is the id of
 * who wrote it, here: of transactions with different ids it is never the same, and mostly it is `xid`. pg_upgrade keeps both.
 */
const loaded = async (sql: Sql, known: boolean): Promise<boolean> => {
  const [row] = await sql<Array<{ shared: boolean; own: boolean }>>`
    select coalesce(bool_or(xids > 1), false) as shared, coalesce(bool_or(own), false) as own from (
      select count(distinct o.xid) as xids, bool_or(o.xid::text::numeric % 4294967296 = o.xmin::text::numeric) as own
      from tide.outbox o where o.xid <> '0' group by o.xmin::text) w`
  return row!.shared || (known && !row!.own)
}

export const note = async (sql: Sql, { epoch, streamCreated, stateCreated, ackedSeq }: Remembered): Promise<void> => {
  await sql`select tide.save_relay_state(${epoch}, ${streamCreated}, ${ackedSeq}, ${stateCreated})`
}

/** Before an epoch is opened in the stream; answers the snapshot to go on from where its cursor has none. */
export const noteOpening = async (sql: Sql, end: StreamEnd, { epoch, loaded, rebuild }: Open): Promise<string> => {
  const [row] = await sql<Array<{ snapshot: string }>>`
    select tide.open_epoch(${epoch.id}, ${end.created}, ${end.stateCreated}, ${end.last}, ${epoch.reason}, ${loaded}, ${rebuild}) as snapshot`
  return row!.snapshot
}

/** Nothing is lost that the epoch should end for, but the log may not say what the tables do. */
export const noteRebuild = async (sql: Sql, { epoch, streamCreated, stateCreated, ackedSeq }: Remembered, reason: string): Promise<void> => {
  await sql`select tide.open_epoch(${epoch}, ${streamCreated}, ${stateCreated}, ${ackedSeq}, ${reason}, false, true)`
}
