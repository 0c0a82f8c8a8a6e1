/**
 * Where the cost of tracking is measured: a Postgres alone, durable as in production, with the same table in several dresses. Each has rows
 * 1 to ROWS, and every transaction of a load adds one to the `n` of one of them, so their sum counts the transactions.
 *
 *   plain  nobody looks
 *   item   tracked
 *   empty  a row trigger whose function does nothing: the least that any trigger costs
 *   bare   a row trigger that stores key and row as JSON with one INSERT, in a table without index, partitions or names of who: the least of any outbox
 */
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import postgres from "postgres"
import type { Sql } from "postgres"
import { migrate } from "#db/migrate.ts"
import { startPostgres } from "#test/support/servers.ts"
import { BenchFailed } from "./benchmark.ts"
import { fineCpuSeconds } from "./process-cost.ts"
import { ask } from "./rounds.ts"
import type { Driver } from "./tps.ts"

export type Dress = "plain" | "item" | "empty" | "bare"

export interface Writers {
  readonly url: string
  readonly sql: Sql
  /** The lock that a relay holds while it is awake: nobody is notified then. */
  readonly awake: { readonly hold: Effect.Effect<void, BenchFailed>; readonly letGo: Effect.Effect<void> }
}

export const ROWS = 10_000
export const rowsOf = (count: number): string => `select n, 'bench', 'item ' || n, 0 from generate_series(1, ${count}) n`

export const openWriters: Effect.Effect<Writers, BenchFailed, Scope.Scope> = Effect.gen(function* () {
  const server = yield* Effect.acquireRelease(ask(() => startPostgres({ durable: true })), (running) => Effect.promise(() => running.stop()))
  const url = server.url()
  yield* Effect.mapError(migrate(url), ({ message, hint }) => new BenchFailed({ message, hint }))
  const sql = yield* session(url)
  yield* ask(() => sql.unsafe(`
    create schema bench;
    create table bench.plain (id int primary key, scope text not null, title text not null, n int not null);
    create table bench.item (like bench.plain including all);
    create table bench.empty (like bench.plain including all);
    create table bench.bare (like bench.plain including all);
    create table bench.copy (id int, row json);
    create function bench.nothing() returns trigger language plpgsql as 'begin return null; end';
    create function bench.store() returns trigger language plpgsql as 'begin insert into bench.copy values (new.id, to_json(new)); return null; end';
    create trigger empty after update on bench.empty for each row execute function bench.nothing();
    create trigger bare after update on bench.bare for each row execute function bench.store();
    select tide.track('bench.item', entity => 'bench_item', scope => 'scope')`))
  const holder = yield* session(url)
  const awake = {
    hold: Effect.asVoid(ask(() => holder`select pg_advisory_lock(tide.wake_key())`)),
    letGo: Effect.asVoid(Effect.orDie(ask(() => holder`select pg_advisory_unlock(tide.wake_key())`))),
  }
  return { url, sql, awake }
})

const session = (url: string): Effect.Effect<Sql, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => postgres(url, { max: 1, onnotice: () => {} })),
    (connection) => Effect.promise(() => connection.end({ timeout: 1 })),
  )

export interface Taken {
  readonly tps: number
  /** Microseconds of processor time that the writers' sessions in Postgres took for a transaction. */
  readonly cpu: number
}

/** Many clients update single rows, each in a transaction of its own. */
export const updateSingly = ({ url, sql }: Writers, driver: Driver, dress: Dress, clients: number, seconds: number): Effect.Effect<Taken, BenchFailed> =>
  Effect.gen(function* () {
    yield* ask(() => sql.unsafe(`truncate bench.${dress}`))
    yield* ask(() => sql.unsafe(`insert into bench.${dress} ${rowsOf(ROWS)}`))
    yield* ask(() => sql.unsafe(`truncate tide.outbox, bench.copy`))
    yield* ask(() => sql.unsafe(`vacuum analyze bench.${dress}`))
    yield* ask(() => sql`checkpoint`)
    const load = driver.tps({ url, statement: `update bench.${dress} set n = n + 1 where id = :id`, ids: ROWS, clients, seconds })
    const [tps, cpu] = yield* Effect.all([load, costOf(sql, dress, clients, seconds)], { concurrency: "unbounded" })
    return { tps, cpu }
  })

/** Looked at twice while a load runs; what it takes to begin and to end stays out. */
const costOf = (sql: Sql, dress: Dress, clients: number, seconds: number): Effect.Effect<number, BenchFailed> =>
  Effect.gen(function* () {
    const look = ask(async () => {
      const [there] = await sql<[{ pids: Array<number>; done: number }]>`
        select (select coalesce(array_agg(pid), '{}') from pg_stat_activity where query like 'update bench.%') as pids, sum(n)::float8 as done from bench.${sql(dress)}`
      const times = await Promise.all(there.pids.map(fineCpuSeconds))
      return { sessions: there.pids.length, done: there.done, seconds: times.reduce((sum, time) => sum + time, 0) }
    })
    const before = yield* Effect.repeat(look, { until: ({ sessions }) => sessions === clients, schedule: Schedule.spaced("20 millis") })
    yield* Effect.sleep((seconds * 1000) / 2)
    const after = yield* look
    if (after.sessions !== clients) return yield* new BenchFailed({ message: `Of ${clients} writers ${after.sessions} were left.`, hint: "Is the machine busy with something else?" })
    return ((after.seconds - before.seconds) * 1e6) / (after.done - before.done)
  })
