/**
 * From a commit to its event in the stream at three rates, beside a bare process that the writers notify of every row. One machine, one
 * clock: a writer notes when its COMMIT returned, a follower of the stream when the row arrived, each in a process of its own.
 */
import { Effect } from "effect"
import type { Benchmark, Row } from "./benchmark.ts"
import { less, quantile } from "./benchmark.ts"
import type { ArrivalsJobs } from "./arrivals-worker.ts"
import type { NotifiedJobs } from "./notified-worker.ts"
import type { PacedJobs } from "./paced-worker.ts"
import { openPlace, RELAY_ALONE, SCOPE } from "./place.ts"
import { ask } from "./rounds.ts"
import { startWorker } from "./worker.ts"

interface Rate {
  readonly perSecond: number
  readonly seconds: number
  readonly rounds: number
  /** Ours and the floor at the same time, in turns of a transaction each: where the machine is idle anyway. */
  readonly together: boolean
}

const RATES: ReadonlyArray<Rate> = [
  { perSecond: 1, seconds: 30, rounds: 1, together: true },
  { perSecond: 100, seconds: 5, rounds: 2, together: false },
  { perSecond: 5_000, seconds: 3, rounds: 2, together: false },
]
const IDS = 1_000
const CHANNEL = "bench_row"
const FLOOR = "floor.row"

/** Milliseconds from commit to arrival in the order of the commits, and the rate that was kept. */
interface Taken { readonly delays: ReadonlyArray<number>; readonly perSecond: number }

export const relayLatency: Benchmark = {
  names: RATES.flatMap(({ perSecond }) => [nameOf(perSecond, 50), nameOf(perSecond, 99)]),
  run: Effect.fnUntraced(function* (say) {
    const { stack, sql } = yield* openPlace(RELAY_ALONE)
    yield* ask(() => sql.unsafe(["item", "plain"].map((table) => `insert into bench.${table} select n, '${SCOPE}', repeat('item ', 18), 0 from generate_series(1, ${IDS}) n`).join(";")))
    const notified = yield* startWorker<NotifiedJobs>(new URL("./notified-worker.ts", import.meta.url))
    yield* notified.ask("start", { databaseUrl: stack.databaseUrl, natsUrl: stack.natsUrl, channel: CHANNEL, stream: "FLOOR", subject: FLOOR })
    const side = Effect.fnUntraced(function* (stream: string, subject: string, statement: string) {
      const writer = yield* startWorker<PacedJobs>(new URL("./paced-worker.ts", import.meta.url))
      const follower = yield* startWorker<ArrivalsJobs>(new URL("./arrivals-worker.ts", import.meta.url))
      let from = 1
      return (perSecond: number, seconds: number) =>
        Effect.gen(function* () {
          const count = Math.round(perSecond * seconds)
          yield* follower.ask("begin", { url: stack.natsUrl, stream, subject, from, count })
          const paced = yield* writer.ask("write", { url: stack.databaseUrl, statement, ids: IDS, from, perSecond, seconds })
          const arrived = yield* follower.ask("end", undefined)
          from += count
          return { delays: Array.from(paced.committed, (at, i) => arrived[i]! - at), perSecond: paced.perSecond }
        })
    })
    const ours = yield* side("CHANGES", "chg.>", "update bench.item set n = $1 where id = $2")
    const bare = yield* side("FLOOR", FLOOR,
      `with written as (update bench.plain set n = $1 where id = $2 returning *) select pg_notify('${CHANNEL}', to_json(written)::text) from written`)
    // Not counted: connections and code warm up.
    yield* ours(500, 1)
    yield* bare(500, 1)

    const rows: Array<Row> = []
    for (const { perSecond, seconds, rounds, together } of RATES) {
      const values: Array<Taken> = []
      const floors: Array<Taken> = []
      for (let round = 1; round <= rounds; round++) {
        const [value, floor] = yield* Effect.all([ours(perSecond, seconds), bare(perSecond, seconds)], { concurrency: together ? 2 : 1 })
        values.push(value)
        floors.push(floor)
        say(`${perSecond}/s round ${round} of ${rounds}: ${told(value)} ms, ${told(floor)} bare (p50, p99); kept ${value.perSecond.toFixed(0)}/s and ${floor.perSecond.toFixed(0)}/s`)
      }
      const [value, floor] = [allOf(values), allOf(floors)]
      const parts = thirds(values.at(-1)!.delays)
      const note = `commit returned → row arrived at a follower of the stream, one-row updates at ${perSecond.toLocaleString("en")}/s by a process of its own, ${value.length} samples; floor: an untracked table whose writers notify a bare process of each row, which publishes what has come as one batch at a time`
      const growth = `; p50 of the first and the last third ${parts[0]!.toFixed(2)} and ${parts[2]!.toFixed(2)} ms, worst ${quantile(value, 1).toFixed(1)} ms`
      rows.push(
        less(nameOf(perSecond, 50), "ms", quantile(value, 0.5), quantile(floor, 0.5), note),
        less(nameOf(perSecond, 99), "ms", quantile(value, 0.99), quantile(floor, 0.99), note + growth),
      )
    }
    return rows
  }),
}

function nameOf(perSecond: number, percent: number): string {
  return `relay.latency.${perSecond}.p${percent}`
}

const told = ({ delays }: Taken): string => `${quantile(delays, 0.5).toFixed(2)}, ${quantile(delays, 0.99).toFixed(2)}`
const allOf = (taken: ReadonlyArray<Taken>): ReadonlyArray<number> => taken.flatMap(({ delays }) => delays)
const thirds = (delays: ReadonlyArray<number>): ReadonlyArray<number> =>
  [0, 1, 2].map((i) => quantile(delays.slice(Math.floor((i * delays.length) / 3), Math.ceil(((i + 1) * delays.length) / 3)), 0.5))
