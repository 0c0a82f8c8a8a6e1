/**
 * What tracking costs a writer: the same rows in a table that is tracked and in one that is not, on one server. The relay sleeps in none of
 * these runs and reads in none: it works beside writers on a core of its own, which these machines may not have.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import postgres from "postgres"
import type { Sql } from "postgres"
import { migratedPostgres } from "#test/support/servers.ts"
import type { TestPostgres } from "#test/support/servers.ts"
import type { Benchmark } from "./benchmark.ts"
import type { BenchFailed } from "./benchmark.ts"
import { more } from "./benchmark.ts"
import { alternate, ask } from "./rounds.ts"
import { tpsDriver } from "./tps.ts"

const CLIENTS = 16
const ROWS = 10_000
const SECONDS = 3
const ROUNDS = 5
const BULK_ROWS = 200_000
const BULK_ROUNDS = 3

export const writeSingle: Benchmark = {
  names: ["write.single"],
  run: Effect.fnUntraced(function* (say) {
    const { sql, server } = yield* twoTables
    yield* ask(() => sql`insert into bench.tracked select n, 'item ' || n, 0 from generate_series(1, ${ROWS}::int) n`)
    yield* ask(() => sql`insert into bench.plain select n, 'item ' || n, 0 from generate_series(1, ${ROWS}::int) n`)
    const driver = yield* tpsDriver
    const tps = (table: string) =>
      driver.tps({ url: server.url(), statement: `update bench.${table} set n = n + 1 where id = :id`, ids: ROWS, clients: CLIENTS, seconds: SECONDS })
    const rounds = yield* alternate(ROUNDS, tps("tracked"), tps("plain"), (value, floor, i) =>
      say(`round ${i + 1} of ${ROUNDS}: ${value.toFixed(0)} tps tracked, ${floor.toFixed(0)} untracked`))
    return [more("write.single", "tps", rounds.value, rounds.floor,
      `one-row updates, ${CLIENTS} clients, ${driver.name}, fsync off; floor: the same on an untracked table`)]
  }),
}

export const writeBulk: Benchmark = {
  names: ["write.bulk"],
  run: Effect.fnUntraced(function* (say) {
    const { sql } = yield* twoTables
    const rate = (table: string) =>
      Effect.gen(function* () {
        yield* ask(() => sql.unsafe(`truncate bench.plain; delete from bench.tracked; truncate tide.outbox; checkpoint`))
        const started = performance.now()
        yield* ask(() => sql.unsafe(`insert into bench.${table} select n, 'item ' || n, 0 from generate_series(1, ${BULK_ROWS}) n`))
        return BULK_ROWS / ((performance.now() - started) / 1000)
      })
    const rounds = yield* alternate(BULK_ROUNDS, rate("tracked"), rate("plain"), (value, floor, i) =>
      say(`round ${i + 1} of ${BULK_ROUNDS}: ${value.toFixed(0)} rows/s tracked, ${floor.toFixed(0)} untracked`))
    return [more("write.bulk", "rows/s", rounds.value, rounds.floor,
      `one INSERT of ${BULK_ROWS.toLocaleString("en")} rows, each also written to the outbox with its image; floor: the same into an untracked table`)]
  }),
}

/** Two equal tables, one of them tracked. */
const twoTables: Effect.Effect<{ readonly sql: Sql; readonly server: TestPostgres }, BenchFailed, Scope.Scope> = Effect.gen(function* () {
  const server = yield* Effect.acquireRelease(ask(() => migratedPostgres()), (pg) => Effect.promise(() => pg.stop()))
  const sql = yield* Effect.acquireRelease(
    Effect.sync(() => postgres(server.url(), { max: 1, onnotice: () => {} })),
    (connection) => Effect.promise(() => connection.end({ timeout: 1 })),
  )
  yield* ask(() => sql.unsafe(`
    create schema bench;
    create table bench.tracked (id int primary key, title text not null, n int not null);
    create table bench.plain (like bench.tracked including all);
    select tide.track('bench.tracked', entity => 'bench_item')`))
  return { sql, server }
})
