/**
 * What a relay needs for a large backlog, time and memory: a million rows, of a few bulk statements and of many small transactions, beside
 * bare batches of such messages and beside a backlog of a hundredth.
 */
import { Effect } from "effect"
import type { BatchesJobs } from "./batches-worker.ts"
import type { Benchmark } from "./benchmark.ts"
import { less, more } from "./benchmark.ts"
import { openChanges } from "./changes.ts"
import { openPlace, RELAY_ALONE, SCOPE } from "./place.ts"
import { peakResidentKb } from "./process-cost.ts"
import { ask } from "./rounds.ts"
import { startWorker } from "./worker.ts"

interface Backlog {
  /** Statements of so many rows each. */
  readonly bulks: number
  readonly bulkRows: number
  /** Transactions of `SMALL_ROWS` each. */
  readonly small: number
}

const SMALL_ROWS = 5
const LITTLE: Backlog = { bulks: 3, bulkRows: 2_000, small: 800 }
const LARGE: Backlog = { bulks: 3, bulkRows: 200_000, small: 80_000 }
/** Rows of the floor: a part of them tells the rate. */
const FLOOR_ROWS = 200_000

const rowsIn = ({ bulks, bulkRows, small }: Backlog): number => bulks * bulkRows + small * SMALL_ROWS

export const relayBacklog: Benchmark = {
  names: ["relay.backlog", "relay.backlog.memory"],
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openPlace([...RELAY_ALONE, "relay"])
    const { stack, sql } = place
    const changes = yield* openChanges(place)
    const worker = yield* startWorker<BatchesJobs>(new URL("./batches-worker.ts", import.meta.url))
    let used = 0

    const publish = Effect.fnUntraced(function* (backlog: Backlog) {
      const rows = rowsIn(backlog)
      const before = yield* ask(changes.lastSeq)
      const insert = (first: string, count: number) =>
        `insert into bench.item select ${first} + n, '${SCOPE}', repeat('item ', 18) || n, 0 from generate_series(1, ${count}) n; commit;`
      yield* ask(() => sql.unsafe(`
        do $$ begin
          for i in 0 .. ${backlog.bulks - 1} loop ${insert(`${used} + i * ${backlog.bulkRows}`, backlog.bulkRows)} end loop;
          for i in 0 .. ${backlog.small - 1} loop ${insert(`${used + backlog.bulks * backlog.bulkRows} + i * ${SMALL_ROWS}`, SMALL_ROWS)} end loop;
        end $$`))
      used += rows
      say(`${rows.toLocaleString("en")} rows are in the outbox`)
      const started = performance.now()
      const released = stack.release("relay")
      const first = yield* ask(() => changes.reach(before + 1))
      const last = yield* ask(() => changes.reach(before + rows))
      yield* ask(() => released)
      const peakMb = (yield* ask(() => peakResidentKb(stack.pid("relay")!))) / 1024
      yield* ask(() => stack.hold("relay"))
      const figures = { before, rows, seconds: (last - started) / 1000, untilFirst: (first - started) / 1000, rate: rows / ((last - first) / 1000), peakMb }
      say(`published in ${figures.seconds.toFixed(1)} s, the first after ${figures.untilFirst.toFixed(1)} s; the relay had ${peakMb.toFixed(0)} MB at most`)
      return figures
    })
    const little = yield* publish(LITTLE)
    const large = yield* publish(LARGE)
    yield* worker.ask("load", { url: stack.natsUrl, from: large.before + 1, count: FLOOR_ROWS })
    const floor = FLOOR_ROWS / ((yield* worker.ask("publish", { mirrored: true })) / 1000)
    const of = `${large.rows.toLocaleString("en")} rows: ${LARGE.bulks} statements of ${LARGE.bulkRows.toLocaleString("en")} and ${LARGE.small.toLocaleString("en")} transactions of ${SMALL_ROWS}`
    return [
      more("relay.backlog", "rows/s", large.rate, floor,
        `a backlog of ${of}: in the stream ${large.seconds.toFixed(0)} s after the relay was started, the first after ${large.untilFirst.toFixed(1)} s (${little.untilFirst.toFixed(1)} with ${little.rows.toLocaleString("en")} rows); floor: bare atomic batches of 1,000, to a stream with a mirror like ours`),
      less("relay.backlog.memory", "MB", large.peakMb, little.peakMb,
        `the most resident memory that the relay had, with a backlog of ${of}; floor: with a hundredth of it`),
    ]
  }),
}
