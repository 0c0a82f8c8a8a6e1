/** Everything through a pgbouncer in transaction mode with two sessions a role; only the relay's lease and wake-up go past it. */
import { Effect, Exit, Scope } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import postgres from "postgres"
import { afterAll, beforeAll, expect, it } from "vitest"
import { tideline } from "../../cli/testing.ts"
import { behindPooler } from "#db/pooler.ts"
import type { Sql } from "#db/postgres.ts"
import { connect } from "#db/postgres.ts"
import { freePort } from "#dev/ports.ts"
import type { Nats } from "#nats/connection.ts"
import { connectNats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Log } from "#nats/log.ts"
import { commandSubject } from "#protocol/subject.ts"
import type { TestPooler } from "#test/support/pgbouncer.ts"
import { startPgBouncer } from "#test/support/pgbouncer.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import { caughtUp, compareWithOutbox, startRelay } from "#test/support/relay.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"

let pg: TestPostgres
let server: TestNats
let pooler: TestPooler
let sql: Sql
let scope: Scope.Closeable
let nats: Nats
let log: Log
let relay: RelayProcess

beforeAll(async () => {
  ;[pg, server] = await Promise.all([migratedPostgres(), startNats()])
  pooler = await startPgBouncer(pg, { poolSize: 2 })
  sql = postgres(pg.url(), { max: 4, onnotice: () => {} })
  await sql`create table public.item (id text primary key, project text, v int)`
  await sql`insert into public.item select 'old' || g, 'p', g from generate_series(1, 1500) g`
  scope = Scope.makeUnsafe()
  nats = await Effect.runPromise(Scope.provide(connectNats(server.url(), "test"), scope))
  log = jetStreamLog(nats)
  relay = await startRelay(pooler.url("tide_relay"), server.url("relay"), { TIDELINE_DIRECT_DATABASE_URL: pg.url("tide_relay") })
  // Time for a download of pgbouncer, too.
}, 240_000)

afterAll(async () => {
  await relay.end("SIGKILL")
  await sql.end()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await pooler.stop()
  await Promise.all([pg.stop(), server.stop()])
})

it("is noticed, and no statement is prepared behind it", async () => {
  const use = (url: string) =>
    connect({ url, name: "test", max: 8 }).pipe(
      Effect.tap((pool) => Effect.promise(async () => {
        const asked = Array.from({ length: 400 }, async (_, i) => expect(await pool`select ${i}::int + ${i % 7}::int as sum`).toEqual([{ sum: i + (i % 7) }]))
        await Promise.all(asked)
      })),
      Effect.flatMap((pool) => Effect.promise(async () => [await behindPooler(pool), Number((await pool`select count(*) as n from pg_prepared_statements`)[0]!["n"]) > 0])),
      Effect.scoped,
      Effect.runPromise,
    )
  expect(await use(pooler.url())).toEqual([true, false])
  expect(await use(pg.url())).toEqual([false, true])
})

it("lets the operator track and fill", async () => {
  const env = { DATABASE_URL: pooler.url(), NATS_URL: server.url() }
  expect(await tideline(["track", "public.item", "--entity", "item", "--scope", "project"], env)).toMatchObject({ code: 0 })
  expect(await tideline(["backfill", "public.item"], env)).toMatchObject({ code: 0 })
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
})

it("carries the relay and many writers, one that is large, and a crash of its own", async () => {
  const writers = postgres(pooler.url(), { max: 8, prepare: false, onnotice: () => {} })
  const many = Array.from({ length: 300 }, (_, i) =>
    writers`insert into item values (${`w${i % 40}`}, ${`p${i % 3}`}, ${i}) on conflict (id) do update set project = excluded.project, v = excluded.v`)
  await Promise.all([...many, writers`insert into item select 'large' || g, 'p', g from generate_series(1, 20000) g`])
  const seen = await log.head().then(({ last }) => last)
  await until(async () => (await log.head()).last > seen, { what: "some of the large one is published", every: 2 })
  await pooler.restart()
  await until(() => writers`insert into item values ('after', 'p', 1) on conflict (id) do nothing`, { what: "the pooler is back" })
  await writers.end()
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
  // Writers that went through the pooler left no lock in its sessions, so the relay could sleep and be woken.
  await until(async () => (await relay.metric("tideline_relay_asleep")) === 1, { what: "the relay sleeps" })
  expect(await sql`select from pg_locks where locktype = 'advisory' and objid = tide.wake_key()::int::oid`).toEqual([])
  const { last } = await log.head()
  await sql`insert into item values ('awake', 'p', 1)`
  await until(async () => (await log.head()).last > last, { what: "a notification wakes it", deadline: 5_000 })
}, 60_000)

it("carries the command service, and each command's settings are its own", async () => {
  const port = await Effect.runPromise(freePort())
  const child = spawn(process.execPath, [fileURLToPath(new URL("../../services/command/main.ts", import.meta.url))], {
    env: { PATH: process.env["PATH"], NATS_URL: server.url("command"), DATABASE_URL: pooler.url("tide_command"), TIDELINE_OBSERVE_PORT: String(port) },
    stdio: ["ignore", "ignore", "inherit"],
  })
  const ended = once(child, "exit")
  try {
    await sql`select authz.grant_access('user:ada', scope => 'p', level => 'CREATE')`
    await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200, { what: "the service to be ready", deadline: 20_000 })
    const send = async (i: number): Promise<unknown> => {
      const mutation = { id: `m${i}`, entityCode: "item", entityId: `c${i}`, op: "create", data: { project: "p", v: i } }
      const command = { user: "ada", mutation, requestId: `r${i}`, endpoint: "/ws", method: "MUTATE", userAgent: null, ip: null, trace: null }
      const to = commandSubject({ scope: "p", entity: "item", id: `c${i}` })
      return (await nats.connection.request(to, JSON.stringify(command), { timeout: 10_000 })).json<{ value: unknown }>().value
    }
    const ids = Array.from({ length: 100 }, (_, i) => i)
    expect(await Promise.all(ids.map(send))).toEqual(ids.map((i) => ({ id: `m${i}`, status: "applied" })))
    const rows = await sql<Array<{ told: string }>>`select entity_id || ' ' || request_id || ' ' || mutation_id as told from tide.outbox where request_id is not null`
    expect(rows.map(({ told }) => told).toSorted()).toEqual(ids.map((i) => `c${i} r${i} m${i}`).toSorted())
  } finally {
    child.kill("SIGTERM")
    await ended
  }
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
}, 60_000)

it("is refused for the lease, by the name of the setting", async () => {
  const wrong = await startRelay(pooler.url("tide_relay"), server.url("relay"))
  expect(await wrong.ended).toBe(1)
  expect(wrong.log()).toContain("TIDELINE_DIRECT_DATABASE_URL: an address straight to Postgres")
})

it("may hold the lease where it lends whole sessions", async () => {
  const sessions = await startPgBouncer(pg, { poolSize: 10, mode: "session" })
  const standby = await startRelay(pooler.url("tide_relay"), server.url("relay"), { TIDELINE_DIRECT_DATABASE_URL: sessions.url("tide_relay") })
  await until(async () => (await standby.reasons())?.length === 0, { what: "it stands by", deadline: 20_000 })
  expect(await relay.end("SIGTERM")).toBe(0)
  relay = standby
  await until(async () => (await standby.metric("tideline_relay_active")) === 1, { what: "it works", deadline: 20_000 })
  await sql`insert into item values ('session', 'p', 1)`
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
  expect(await standby.end("SIGTERM")).toBe(0)
  await sessions.stop()
}, 60_000)
