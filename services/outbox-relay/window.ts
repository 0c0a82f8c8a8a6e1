/**
 * What to publish next. A window is what a snapshot sees and the one before did not: identity values are not commit order, snapshots
 * are. Rows come in the order of (largest id of their transaction, id). Why that is commit order wherever it matters: if T2 changed an
 * entity after T1 did, T1 had ended before T2 got the row lock, so every id of T1 precedes that id of T2, and a snapshot that sees
 * T2 sees T1.
 *
 * A small window is one statement, which is one snapshot; it is put in order here. A large one is streamed through a cursor: what the
 * first snapshot saw stays visible, so the later one of the cursor adds nothing.
 */
import type { Sql } from "#db/postgres.ts"
import { WINDOW_FETCH, WINDOW_ROWS } from "#protocol/limits.ts"
import type { RelayCursor } from "./cursor.ts"
import type { OutboxRow } from "./row.ts"
import { parseSnapshot } from "./snapshot.ts"

/** A look at the outbox. */
export interface Look {
  /** What the look saw, as text. */
  readonly window: string
  /** Everything new in order, or null where that is more than WINDOW_ROWS: stream it. */
  readonly rows: ReadonlyArray<OutboxRow> | null
}

type Found = Omit<OutboxRow, "tx" | "count">

/** The window as it came: transactions are put in the order of their largest ids, which is all that order asks for. */
export const inOrder = (found: ReadonlyArray<Found>): ReadonlyArray<OutboxRow> => {
  const transactions = new Map<string, { tx: number; rows: Array<Found> }>()
  for (const row of found) {
    const transaction = transactions.get(row.xid)
    if (transaction === undefined) transactions.set(row.xid, { tx: row.id, rows: [row] })
    else {
      transaction.tx = Math.max(transaction.tx, row.id)
      transaction.rows.push(row)
    }
  }
  return [...transactions.values()]
    .sort((a, b) => a.tx - b.tx)
    .flatMap(({ tx, rows }) => rows.sort((a, b) => a.id - b.id).map((row) => ({ ...row, tx, count: rows.length })))
}

const columns = `o.id::float8 as id, o.xid::text as xid, o.entity, o.entity_id as "entityId", o.scope, o.op, o.after::text as after,
  case when o.entity in ('_grant', '_member') then o.before::text end as before,
  to_char(o.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
  o.user_id as user, o.mutation_id as mutation, o.traceparent as trace`

/** What the snapshot with this xmax ($1) and these running transactions ($2) did not see. */
const unseen = (table: string): string => `(${table}.xid >= $1::text::xid8 or ${table}.xid = any ($2::text::xid8[]))`

const look = `select s.window, r.*
  from (select pg_current_snapshot()::text as window) s
  left join lateral (
    select ${columns} from tide.outbox o
    where ${unseen("o")} and pg_visible_in_snapshot(o.xid, pg_current_snapshot())
    limit ${WINDOW_ROWS + 1}) r on true`

/** Set for the session: statistics of a partition that is filled this minute say nothing, and the index is always right here. */
export const planForWindows = async (sql: Sql): Promise<void> => {
  await sql`select set_config('enable_seqscan', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', false), set_config('work_mem', '32MB', false)`
}

const bounds = (last: string): [string, string] => {
  const snapshot = parseSnapshot(last)!
  return [String(snapshot.xmax), `{${snapshot.running.join(",")}}`]
}

/** What there is after the snapshot `last`. */
export const lookAfter = async (sql: Sql, last: string): Promise<Look> => {
  const rows = await sql.unsafe<Array<Found & { window: string; id: number | null }>>(look, bounds(last), { prepare: true })
  const { window } = rows[0]!
  if (rows[0]!.id === null) return { window, rows: [] }
  return { window, rows: rows.length > WINDOW_ROWS ? null : inOrder(rows) }
}

const stream = `with t as materialized (
    select o.xid, max(o.id) as tx, count(*) as count, count(*) filter (where o.id <= $5::float8) as done from tide.outbox o
    where ${unseen("o")} and pg_visible_in_snapshot(o.xid, $3::text::pg_snapshot)
    group by o.xid)
  select ${columns}, t.tx::float8 as tx, t.count::float8 as count, t.done::float8 as done
  from t join tide.outbox o on o.xid = t.xid
  where ${unseen("o")} and (t.tx, o.id) > ($4::float8::bigint, $5::float8::bigint)
  order by t.tx, o.id`

/**
 * Hands the rows of the cursor's window, from where the cursor stands, to `take` some at a time, and waits for it. `published`: how many
 * rows of the first row's transaction were published before.
 */
export const streamWindow = async (
  sql: Sql,
  cursor: RelayCursor & { readonly window: string },
  take: (rows: ReadonlyArray<OutboxRow>, published: number) => Promise<void>,
): Promise<void> => {
  const { last, window, tx, id } = cursor
  const query = sql.unsafe<Array<OutboxRow & { done: number }>>(stream, [...bounds(last), window, tx, id])
  for await (const rows of query.cursor(WINDOW_FETCH)) await take(rows, rows[0]!.tx === tx ? rows[0]!.done : 0)
}
