/** A relay that was away for a week: nothing of what waits is dropped, all of it is published in order, and goes when that was long enough ago. */
import { Effect, Exit, Scope } from "effect"
import postgres from "postgres"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { Sql } from "#db/postgres.ts"
import { connectNats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Log } from "#nats/log.ts"
import { caughtUp, compareWithOutbox, startRelay } from "#test/support/relay.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"

const DAYS = [8, 7, 6, 5, 4, 3, 2, 1]
const day = (ago: number): string => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10)
const nameOf = (ago: number): string => `outbox_${day(ago).replaceAll("-", "")}`

let pg: TestPostgres
let server: TestNats
let sql: Sql
let scope: Scope.Closeable
let log: Log

beforeAll(async () => {
  ;[pg, server] = await Promise.all([migratedPostgres(), startNats()])
  sql = postgres(pg.url(), { max: 2, onnotice: () => {} })
  scope = Scope.makeUnsafe()
  log = jetStreamLog(await Effect.runPromise(Scope.provide(connectNats(server.url(), "test"), scope)))
}, 90_000)

afterAll(async () => {
  await sql.end()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await Promise.all([pg.stop(), server.stop()])
})

/** With a relay that keeps what it published for two days. */
const withRelay = async (meanwhile: (relay: RelayProcess) => Promise<unknown>): Promise<void> => {
  const relay = await startRelay(pg.url("tide_relay"), server.url("relay"), { TIDELINE_OUTBOX_DAYS: "2" })
  await meanwhile(relay)
  await relay.end("SIGTERM")
}
/** When the relay last noted what is published. */
const noted = async () => (await sql<Array<{ at: Date | null }>>`select settled_at as at from tide.relay_state`)[0]?.at
const aDayLater = () => sql`update tide.relay_state set settled_at = settled_at - interval '25 hours'`
const partitions = async () =>
  (await sql<Array<{ name: string }>>`select relname as name from pg_class where relname ~ '^outbox_\\d{8}$' order by 1`).map(({ name }) => name)

it("publishes a week's backlog in order before a partition of it goes", async () => {
  await sql`create table public.item (id int primary key, v int)`
  await sql`select tide.track('public.item', entity => 'item')`
  for (const ago of DAYS) {
    await sql.unsafe(`create table tide.${nameOf(ago)} partition of tide.outbox for values from ('${day(ago)} 00:00+00') to ('${day(ago - 1)} 00:00+00')`)
    await sql`insert into tide.outbox (entity, entity_id, op, after, at)
      select 'item', n::text, 'UPDATE', json_build_object('id', n, 'day', ${ago}::int), ${`${day(ago)} 12:00+00`}::timestamptz + n * interval '1 second' from generate_series(1, 300) n`
  }
  const old = DAYS.map(nameOf).toSorted()
  const largest = (await sql<Array<{ xid: string }>>`select xid::text from tide.outbox where at < ${`${day(2)} 00:00+00`}::timestamptz order by xid desc limit 1`)[0]!.xid
  await withRelay(async () => {
    await caughtUp(sql, log)
    expect(await compareWithOutbox(sql, log)).toEqual([])
    await until(noted, { what: "the relay has looked after the partitions", deadline: 20_000 })
  })
  // Old, and published: but only just now.
  expect(await partitions()).toEqual(expect.arrayContaining(old))
  await aDayLater()
  await withRelay((relay) => until(async () => (await relay.metric("tideline_relay_partitions_dropped_total")) === 6, { what: "six are dropped", deadline: 20_000 }))
  expect((await partitions()).slice(0, 2)).toEqual([nameOf(2), nameOf(1)])
  expect(await sql`select dropped_xid::text as xid from tide.relay_state`).toEqual([{ xid: largest }])
}, 60_000)
