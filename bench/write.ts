/**
 * What tracking costs a writer: the same rows in a table that is tracked and in one that is not, on one server.
 *
 * The relay counts as awake: a session of the benchmark holds its wake lock, so writers notify nobody, as they do while a relay works
 * somewhere. A relay that does work on the same cores takes them from the writers as any program would; the note says what is left then.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import postgres from "postgres"
import type { Benchmark } from "./benchmark.ts"
import type { BenchFailed } from "./benchmark.ts"
import { more } from "./benchmark.ts"
import { openPlace, SCOPE } from "./place.ts"
import type { Place } from "./place.ts"
import { ask, rounds } from "./rounds.ts"
import { tpsDriver } from "./tps.ts"

const CLIENTS = 16
const ROWS = 10_000
const SECONDS = 2
const ROUNDS = 5
const BULK_ROWS = 200_000
const BULK_ROUNDS = 3
/** The services that do not matter to a writer. */
const OTHERS = ["edge-1", "edge-2", "authz", "command", "web"]

export const writeSingle: Benchmark = {
  names: ["write.single"],
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openPlace([...OTHERS, "relay"])
    const { stack, sql } = place
    yield* ask(() => sql.unsafe(`insert into bench.item ${rowsOf(ROWS)}; insert into bench.plain ${rowsOf(ROWS)}`))
    const awake = yield* wakeLock(place)
    const driver = yield* tpsDriver
    const tps = (table: string) =>
      driver.tps({ url: stack.databaseUrl, statement: `update bench.${table} set n = n + 1 where id = :id`, ids: ROWS, clients: CLIENTS, seconds: SECONDS })
    const held = Effect.acquireUseRelease(awake.hold, () => tps("item"), () => awake.letGo)
    const beside = Effect.gen(function* () {
      yield* ask(() => sql`truncate tide.outbox`)
      yield* ask(() => stack.release("relay"))
      const figure = yield* tps("item")
      yield* ask(() => stack.hold("relay"))
      return figure
    })
    const took = yield* rounds(ROUNDS, { value: held, floor: tps("plain"), beside }, (now, round) =>
      say(`round ${round} of ${ROUNDS}: ${now.value.toFixed(0)} tps tracked, ${now.floor.toFixed(0)} untracked, ${now.beside.toFixed(0)} tracked with a relay on the same cores`))
    return [more("write.single", "tps", took.value, took.floor,
      `one-row updates, ${CLIENTS} clients, ${driver.name}, fsync off, relay awake; floor: an untracked table. With a relay and nats-server publishing it all on the same cores: ${took.beside.toFixed(0)}`)]
  }),
}

export const writeBulk: Benchmark = {
  names: ["write.bulk"],
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openPlace([...OTHERS, "relay"])
    const awake = yield* wakeLock(place)
    yield* awake.hold
    const rate = (table: string) =>
      Effect.gen(function* () {
        // A truncated tracked table writes its own events: the outbox is emptied after it.
        yield* ask(() => place.sql.unsafe(`truncate bench.plain, bench.item; truncate tide.outbox; checkpoint`))
        const started = performance.now()
        yield* ask(() => place.sql.unsafe(`insert into bench.${table} ${rowsOf(BULK_ROWS)}`))
        return BULK_ROWS / ((performance.now() - started) / 1000)
      })
    const took = yield* rounds(BULK_ROUNDS, { value: rate("item"), floor: rate("plain") }, (now, round) =>
      say(`round ${round} of ${BULK_ROUNDS}: ${now.value.toFixed(0)} rows/s tracked, ${now.floor.toFixed(0)} untracked`))
    return [more("write.bulk", "rows/s", took.value, took.floor,
      `one INSERT of ${BULK_ROWS.toLocaleString("en")} rows, each written to the outbox as well, with its image; fsync off; floor: an untracked table`)]
  }),
}

const rowsOf = (count: number): string => `select n, '${SCOPE}', 'item ' || n, 0 from generate_series(1, ${count}) n`

/** The lock that a relay holds while it is awake. */
const wakeLock = ({ stack }: Place): Effect.Effect<{ readonly hold: Effect.Effect<void, BenchFailed>; readonly letGo: Effect.Effect<void> }, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => postgres(stack.databaseUrl, { max: 1, onnotice: () => {} })),
      (session) => Effect.promise(() => session.end({ timeout: 1 })),
    ),
    (session) => ({
      hold: Effect.asVoid(ask(() => session`select pg_advisory_lock(tide.wake_key())`)),
      letGo: Effect.asVoid(Effect.orDie(ask(() => session`select pg_advisory_unlock(tide.wake_key())`))),
    }),
  )
