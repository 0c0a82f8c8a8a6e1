/** How fast the relay empties an outbox that has filled while it was away, beside bare atomic batches of the same messages. */
import { Effect } from "effect"
import { connectOnce } from "#nats/connection.ts"
import { CHANGES } from "#nats/streams.ts"
import type { BatchesJobs } from "./batches-worker.ts"
import type { Benchmark } from "./benchmark.ts"
import { BenchFailed, median, more } from "./benchmark.ts"
import { openPlace, SCOPE } from "./place.ts"
import { ask } from "./rounds.ts"
import { startWorker } from "./worker.ts"

const TRANSACTIONS = 10_000
const ROWS_EACH = 10
const ROWS = TRANSACTIONS * ROWS_EACH
const ROUNDS = 3
/** Milliseconds between two looks at the stream while it fills. */
const LOOK_MS = 5
/** Milliseconds after which a relay that publishes nothing is given up. */
const GIVE_UP_MS = 60_000

export const relayThroughput: Benchmark = {
  names: ["relay.throughput"],
  run: Effect.fnUntraced(function* (say) {
    const { stack, sql } = yield* openPlace(["edge-1", "edge-2", "authz", "command", "web", "relay"])
    const nats = yield* connectOnce(stack.natsUrl, "bench").pipe(Effect.mapError((e) => new BenchFailed({ message: e.message, hint: e.hint })))
    const worker = yield* startWorker<BatchesJobs>(new URL("./batches-worker.ts", import.meta.url))
    const lastSeq = async (): Promise<number> => (await nats.jetstream.streams.info(CHANGES)).state.last_seq

    /** Rows a second between the first look that saw some of them in the stream and the one that saw them all. */
    const drain = async (before: number): Promise<number> => {
      const deadline = Date.now() + GIVE_UP_MS
      const released = stack.release("relay")
      let begun: { readonly at: number; readonly rows: number } | null = null
      for (;;) {
        const rows = (await lastSeq()) - before
        const at = performance.now()
        if (rows > 0 && begun === null) begun = { at, rows }
        if (rows >= ROWS) {
          await released
          await stack.hold("relay")
          return (ROWS - begun!.rows) / ((at - begun!.at) / 1000)
        }
        if (Date.now() > deadline) throw new Error(`after ${GIVE_UP_MS / 1000} s ${rows} of ${ROWS} rows are published`)
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
    }

    const values: Array<number> = []
    const floors: Array<number> = []
    let bytes = 0
    for (let round = 0; round < ROUNDS; round++) {
      const before = yield* ask(lastSeq)
      yield* ask(() => sql.unsafe(`
        do $$ begin
          for i in 1 .. ${TRANSACTIONS} loop
            insert into bench.item select ${round * ROWS} + (i - 1) * ${ROWS_EACH} + n, '${SCOPE}', repeat('item ', 18) || n, 0 from generate_series(1, ${ROWS_EACH}) n;
            commit;
          end loop;
        end $$`))
      values.push(yield* ask(() => drain(before)))
      bytes = yield* worker.ask("load", { url: stack.natsUrl, from: before + 1, count: ROWS })
      floors.push(ROWS / ((yield* worker.ask("publish", undefined)) / 1000))
      say(`round ${round + 1} of ${ROUNDS}: ${values.at(-1)!.toFixed(0)} rows/s from the outbox, ${floors.at(-1)!.toFixed(0)} in bare batches`)
    }
    return [more("relay.throughput", "rows/s", median(values), median(floors),
      `${ROWS.toLocaleString("en")} rows of ${Math.round(bytes / ROWS)} bytes in transactions of ${ROWS_EACH}, already in the outbox; floor: the same messages in atomic batches of 1,000 by the bare library, to a stream without a mirror`)]
  }),
}
