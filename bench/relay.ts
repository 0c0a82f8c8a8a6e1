/**
 * How fast the relay empties an outbox that has filled while it was away, beside bare atomic batches of the same messages: transactions of
 * ten rows, of one row, and rows of a kilobyte.
 */
import { Effect } from "effect"
import type { BatchesJobs } from "./batches-worker.ts"
import type { Benchmark } from "./benchmark.ts"
import { median, more } from "./benchmark.ts"
import { openChanges } from "./changes.ts"
import { openPlace, RELAY_ALONE, SCOPE } from "./place.ts"
import { cpuSeconds } from "./process-cost.ts"
import { ask } from "./rounds.ts"
import { startWorker } from "./worker.ts"

interface Shape {
  readonly name: string
  readonly transactions: number
  readonly rowsEach: number
  /** Words of the title, five bytes each. */
  readonly words: number
  readonly rounds: number
}

const SHAPES: ReadonlyArray<Shape> = [
  { name: "relay.throughput", transactions: 10_000, rowsEach: 10, words: 18, rounds: 3 },
  { name: "relay.throughput.kilobyte", transactions: 4_000, rowsEach: 10, words: 190, rounds: 2 },
  { name: "relay.throughput.single", transactions: 50_000, rowsEach: 1, words: 18, rounds: 2 },
]

export const relayThroughput: Benchmark = {
  names: SHAPES.map(({ name }) => name),
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openPlace([...RELAY_ALONE, "relay"])
    const { stack, sql } = place
    const changes = yield* openChanges(place)
    const worker = yield* startWorker<BatchesJobs>(new URL("./batches-worker.ts", import.meta.url))
    let written = 0

    /** Rows a second between the first look that saw some of them in the stream and the one that saw them all; and what each cost the relay. */
    const drain = async (before: number, rows: number): Promise<{ readonly rate: number; readonly micros: number }> => {
      const released = stack.release("relay")
      const at = await changes.reach(before + 1)
      const [begun, cost] = [(await changes.lastSeq()) - before, await cpuSeconds(stack.pid("relay")!)]
      const done = await changes.reach(before + rows)
      const micros = (1e6 * ((await cpuSeconds(stack.pid("relay")!)) - cost)) / (rows - begun)
      await released
      await stack.hold("relay")
      return { rate: (rows - begun) / ((done - at) / 1000), micros }
    }

    return yield* Effect.forEach(SHAPES, ({ name, transactions, rowsEach, words, rounds }) =>
      Effect.gen(function* () {
        const rows = transactions * rowsEach
        const values: Array<number> = []
        const floors: Array<number> = []
        const unmirrored: Array<number> = []
        const costs: Array<number> = []
        let bytes = 0
        for (let round = 1; round <= rounds; round++) {
          const before = yield* ask(changes.lastSeq)
          yield* ask(() => sql.unsafe(`
            do $$ begin
              for i in 0 .. ${transactions - 1} loop
                insert into bench.item select ${written} + i * ${rowsEach} + n, '${SCOPE}', repeat('item ', ${words}) || n, 0 from generate_series(1, ${rowsEach}) n;
                commit;
              end loop;
            end $$`))
          written += rows
          const { rate, micros } = yield* ask(() => drain(before, rows))
          values.push(rate)
          costs.push(micros)
          bytes = yield* worker.ask("load", { url: stack.natsUrl, from: before + 1, count: rows })
          floors.push(rows / ((yield* worker.ask("publish", { mirrored: true })) / 1000))
          unmirrored.push(rows / ((yield* worker.ask("publish", { mirrored: false })) / 1000))
          say(`${name} round ${round} of ${rounds}: ${rate.toFixed(0)} rows/s from the outbox (${micros.toFixed(1)} µs of the relay's processor each), ${floors.at(-1)!.toFixed(0)} in bare batches, ${unmirrored.at(-1)!.toFixed(0)} to a stream without a mirror`)
        }
        return more(name, "rows/s", median(values), median(floors),
          `${rows.toLocaleString("en")} rows of ${Math.round(bytes / rows)} bytes in transactions of ${rowsEach}, already in the outbox, ${median(costs).toFixed(1)} µs of the relay's processor each; floor: the same messages in atomic batches of 1,000 by the bare library, to a stream with a mirror like ours; to one without: ${median(unmirrored).toFixed(0)}`)
      }))
  }),
}
