/**
 * What to publish next. A window is what a snapshot sees and the one before did not: identity values are not commit order, snapshots
 * are. Rows come in the order of (largest id of their transaction, id). So T1 comes before T2 where T1 had ended when T2 wrote its last
 * outbox row: all of T1's ids were drawn before it ended, and a snapshot that sees T2 sees T1. That is so where T2 waited for T1's lock
 * on a row, and where T2 wrote anything after it had seen T1. What T2 saw only after its last write is not told before it.
 *
 * A small window is one statement, which is one snapshot; it is put in order here. A large one, by rows or by what is in them, is streamed
 * through a cursor: what the first snapshot saw stays visible, so the later one of the cursor adds nothing. The statements are in db/functions/01_window.sql.
 */
import { answerWithin } from "#db/postgres.ts"
import type { Sql } from "#db/postgres.ts"
import { LOOK_ANSWER_MS, POSTGRES_CLOSE_S, WINDOW_ANSWER_MS, WINDOW_FETCH, WINDOW_ROWS } from "#protocol/limits.ts"
import type { RelayCursor } from "./cursor.ts"
import { advance } from "./cursor.ts"
import type { OutboxRow } from "./row.ts"
import { parseSnapshot } from "./snapshot.ts"

/** A look at the outbox. */
export interface Look {
  /** What the look saw, as text. */
  readonly window: string
  /** Everything new in order, or null where that is more than WINDOW_ROWS, or an image among it is large: stream it. */
  readonly rows: ReadonlyArray<OutboxRow> | null
}

type Found = Omit<OutboxRow, "tx" | "count">
/** Where the image lies that is too large to come along. */
interface Placed {
  readonly place: string | null
}
type Streamed = OutboxRow & Placed & { readonly done: number }

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

const bounds = (last: string): [string, string] => {
  const snapshot = parseSnapshot(last)!
  return [String(snapshot.xmax), `{${snapshot.running.join(",")}}`]
}

/** Once more where the session was ended just as it was asked, for having been idle perhaps: another is opened for it. */
const twice = <A>(ask: () => PromiseLike<A>): Promise<A> =>
  Promise.resolve(ask()).catch((cause: unknown) => {
    const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
    return /^(57P|CONNECTION_|ECONN|EPIPE)/.test(code) ? ask() : Promise.reject(cause)
  })

/** What there is after the snapshot `last`. One statement, which is one snapshot; any session will do. */
export const lookAfter = async (sql: Sql, last: string): Promise<Look> => {
  const [xmax, running] = bounds(last)
  const rows = await answerWithin(LOOK_ANSWER_MS, () => twice(() => sql<Array<Found & Placed & { window: string; id: number | null }>>`
    select s.window, m.* from (select pg_current_snapshot()::text as window) s
    left join lateral tide.look(${xmax}::text::xid8, ${running}::text::xid8[], ${WINDOW_ROWS + 1}) m on true`))
  const { window } = rows[0]!
  if (rows[0]!.id === null) return { window, rows: [] }
  return { window, rows: rows.length > WINDOW_ROWS || rows.some(({ place }) => place !== null) ? null : inOrder(rows) }
}

/** The cursor that says that `rows` rows more of its window are published. Null where there are not so many. */
export const skip = async (sql: Sql, cursor: RelayCursor & { readonly window: string }, rows: number): Promise<RelayCursor | null> => {
  let left = rows
  let place: RelayCursor | null = null
  await streamWindow(sql, cursor, async (page) => {
    const last = page[Math.min(left, page.length) - 1]!
    if (left <= page.length) place = advance(cursor, cursor.window, last.tx, last.id)
    left -= page.length
    return left > 0
  })
  return place
}

/** Consecutive rows; one with a large image by itself. */
const runs = <A extends Placed>(rows: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> => {
  const all: Array<Array<A>> = []
  for (const [i, row] of rows.entries()) {
    if (i === 0 || row.place !== null || rows[i - 1]!.place !== null) all.push([row])
    else all.at(-1)!.push(row)
  }
  return all
}

const imageAt = async (sql: Sql, place: string): Promise<string> => {
  const [row] = await sql<Array<{ image: string }>>`select tide.image_at(${place}) as image`
  return row!.image
}

/**
 * Hands the rows of the cursor's window, from where the cursor stands, to `take` some at a time, waits for it, and goes on where it says
 * true; answers whether it always did. `published`: how many rows of the first row's transaction were published before. The transaction is spelled out, on the one connection of `sql`: one that the
 * driver keeps open would, with its connection gone, throw where nobody catches.
 */
export const streamWindow = async (
  sql: Sql,
  cursor: RelayCursor & { readonly window: string },
  take: (rows: ReadonlyArray<OutboxRow>, published: number) => Promise<boolean>,
): Promise<boolean> => {
  const { last, window, tx, id } = cursor
  const [xmax, running] = bounds(last)
  const fetch = (): Promise<Array<Streamed>> => answerWithin(WINDOW_ANSWER_MS, () => sql.unsafe<Array<Streamed>>(`fetch ${WINDOW_FETCH} from tide_window`))
  // Sent in one go: until the window is open, the operator's limits count the time between two statements.
  const open = () => Promise.all([sql`begin`, sql`select tide.open_window(${xmax}::text::xid8, ${running}::text::xid8[], ${window}::text::pg_snapshot, ${tx}, ${id})`])
  try {
    await answerWithin(WINDOW_ANSWER_MS, () => twice(open))
    let next = fetch()
    for (let rows = await next; rows.length > 0; rows = await next) {
      // What comes next is read while this is published. It is awaited then; until then nobody listens.
      next = fetch()
      next.catch(() => {})
      for (const run of runs(rows)) {
        const [first] = run
        const whole = first!.place === null ? run : [{ ...first!, after: await imageAt(sql, first!.place) }]
        if (!(await take(whole, first!.tx === tx ? first!.done : 0))) return false
      }
    }
    return true
  } finally {
    // Nothing was written. Where the connection has gone, so has the transaction.
    await answerWithin(POSTGRES_CLOSE_S * 1_000, () => sql`rollback`).catch(() => {})
  }
}
