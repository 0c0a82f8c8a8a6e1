/**
 * What tracking costs a writer: the same writes to a table that is tracked and to one that is not, on one durable Postgres.
 *
 * The relay counts as awake: a session of the benchmark holds its wake lock, so writers notify nobody, as they do while a relay works
 * somewhere. Without that lock every transaction notifies: that is the rival of `write.notify`.
 */
import { Effect } from "effect"
import type { Benchmark } from "./benchmark.ts"
import { less, median, more } from "./benchmark.ts"
import { ask, rounds } from "./rounds.ts"
import { tpsDriver } from "./tps.ts"
import { openWriters, rowsOf, updateSingly } from "./writers.ts"
import type { Dress, Taken } from "./writers.ts"

const CLIENTS = 16
const SECONDS = 2
const ROUNDS = 5
const BULK_ROWS = 200_000
const BULK_ROUNDS = 3

type Variant = Exclude<Dress, "item"> | "tracked" | "notify"

export const writeSingle: Benchmark = {
  names: ["write.single", "write.cpu", "write.notify"],
  run: Effect.fnUntraced(function* (say) {
    const writers = yield* openWriters
    const driver = yield* tpsDriver
    yield* ask(() => writers.sql.listen("tide_wake", () => {}))
    const cpu: Record<Variant, Array<number>> = { tracked: [], plain: [], notify: [], empty: [], bare: [] }
    const variant = (name: Variant, dress: Dress) =>
      Effect.map(updateSingly(writers, driver, dress, CLIENTS, SECONDS), (taken: Taken) => {
        cpu[name].push(taken.cpu)
        return taken.tps
      })
    const took = yield* rounds(ROUNDS, {
      tracked: Effect.acquireUseRelease(writers.awake.hold, () => variant("tracked", "item"), () => writers.awake.letGo),
      plain: variant("plain", "plain"),
      notify: variant("notify", "item"),
      empty: variant("empty", "empty"),
      bare: variant("bare", "bare"),
    }, (now, round) => say(`round ${round} of ${ROUNDS}: ${now.tracked.toFixed(0)} tps tracked, ${now.plain.toFixed(0)} untracked, ${now.notify.toFixed(0)} notifying each time; `
      + `other triggers: ${now.empty.toFixed(0)} an empty one, ${now.bare.toFixed(0)} one bare INSERT`))
    const cost = (name: Variant): number => median(cpu[name])
    const of = (name: Variant): string => (took[name] / took.plain).toFixed(2)
    const how = `one-row updates, ${CLIENTS} clients, ${driver.name}, fsync and synchronous_commit on`
    return [
      more("write.single", "tps", took.tracked, took.plain,
        `${how}, relay awake; floor: an untracked table. For comparison, of that floor an empty PL/pgSQL trigger leaves ${of("empty")}, one whose function does a bare INSERT of key and row ${of("bare")}`),
      less("write.cpu", "µs/transaction", cost("tracked"), cost("plain"),
        `processor time of the writers' sessions in Postgres, which no disk hides; floor: an untracked table. With an empty trigger ${cost("empty").toFixed(0)}, with a bare INSERT ${cost("bare").toFixed(0)}`),
      more("write.notify", "tps", took.tracked, took.notify, `${how}; rival: the same with pg_notify in every transaction, one session listening`),
    ]
  }),
}

export const writeBulk: Benchmark = {
  names: ["write.bulk"],
  run: Effect.fnUntraced(function* (say) {
    const { sql, awake } = yield* openWriters
    yield* awake.hold
    const rate = (dress: Dress) =>
      Effect.gen(function* () {
        // A truncated tracked table writes its own events: the outbox is emptied after it.
        yield* ask(() => sql.unsafe(`truncate bench.plain, bench.item; truncate tide.outbox; checkpoint`))
        const started = performance.now()
        yield* ask(() => sql.unsafe(`insert into bench.${dress} ${rowsOf(BULK_ROWS)}`))
        return BULK_ROWS / ((performance.now() - started) / 1000)
      })
    const took = yield* rounds(BULK_ROUNDS, { value: rate("item"), floor: rate("plain") }, (now, round) =>
      say(`round ${round} of ${BULK_ROUNDS}: ${now.value.toFixed(0)} rows/s tracked, ${now.floor.toFixed(0)} untracked`))
    return [more("write.bulk", "rows/s", took.value, took.floor,
      `one INSERT of ${BULK_ROWS.toLocaleString("en")} rows, each written to the outbox as well, with its image; fsync on; floor: an untracked table`)]
  }),
}
