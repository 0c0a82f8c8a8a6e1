import { cpSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import postgres from "postgres"
import { afterAll, afterEach, beforeAll, expect, it } from "vitest"
import type { Sql } from "#db/postgres.ts"
import { connectNats } from "#nats/connection.ts"
import type { Nats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Log } from "#nats/log.ts"
import { CHANGES, STATE } from "#nats/streams.ts"
import type { Random } from "#test/support/random.ts"
import { randomFrom } from "#test/support/random.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import { caughtUp, compareWithOutbox, mirrored, startRelay, stateOf } from "#test/support/relay.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"

let pg: TestPostgres
let server: TestNats
let sql: Sql
let scope: Scope.Closeable
let nats: Nats
let log: Log
const relays = new Set<RelayProcess>()
const seed = Number(process.env["TIDELINE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))

beforeAll(async () => {
  ;[pg, server] = await Promise.all([migratedPostgres(), startNats()])
  sql = postgres(pg.url(), { max: 4, onnotice: () => {} })
  scope = Scope.makeUnsafe()
  nats = await Effect.runPromise(Scope.provide(connectNats(server.url(), "test"), scope))
  log = jetStreamLog(nats)
  await sql`create table public.item (id int primary key, project text, v int)`
  await sql`select tide.track('public.item', entity => 'item', scope => 'project')`
}, 90_000)

afterAll(async () => {
  await sql.end()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await Promise.all([pg.stop(), server.stop()])
})

const writers = new Set<() => Promise<void>>()

afterEach(async () => {
  await Promise.all([...writers].map((stop) => stop()))
  await Promise.all([...relays].map((relay) => relay.end("SIGKILL")))
  relays.clear()
})

const start = async (): Promise<RelayProcess> => {
  const relay = await startRelay(pg.url("tide_relay"), server.url("relay"))
  relays.add(relay)
  return relay
}
const kill = async (relay: RelayProcess): Promise<void> => {
  relays.delete(relay)
  await relay.end("SIGKILL")
}
const ready = (relay: RelayProcess): Promise<unknown> =>
  until(async () => (await relay.reasons())?.length === 0 && (await relay.metric("tideline_relay_active")) === 1, { what: "the relay works", deadline: 20_000 })

/** One transaction of a writer: some rows, or very many, sometimes left open for a while, sometimes rolled back. */
const writeOnce = async (db: Sql, random: Random, pause: (ms: number) => Promise<void>): Promise<void> => {
  await db
    .begin(async (tx) => {
      for (let i = 1 + random.int(8); i > 0; i--) {
        const id = random.int(60)
        const project = `p${random.int(3)}`
        const dice = random.int(20)
        if (dice < 12) await tx`insert into item values (${id}, ${project}, 1) on conflict (id) do update set v = item.v + 1`
        else if (dice < 15) await tx`delete from item where id = ${id}`
        else if (dice < 17) await tx`update item set project = ${project}, v = v + 1 where id = ${id}`
        else if (dice < 19) await tx.savepoint(async (sp) => {
          await sp`insert into item values (${id}, ${project}, 1) on conflict (id) do update set v = item.v + 100`
          if (random.chance(0.7)) throw new Error("rolled back")
        }).catch(() => {})
        else if (random.chance(0.2)) {
          const base = 1_000 + random.int(1e6) * 3_000
          await tx`insert into item select ${base}::int + g, ${project}, g from generate_series(1, ${1 + random.int(2_500)}) g on conflict (id) do nothing`
        }
      }
      if (random.chance(0.1)) await pause(random.int(600))
      if (random.chance(0.1)) throw new Error("rolled back")
    })
    // Rolled back on purpose, or a deadlock: Postgres rolls it back.
    .catch(() => {})
}

/** Writers that go on until stopped; answers how to stop them. */
const startWriters = (count: number): (() => Promise<void>) => {
  const controller = new AbortController()
  const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
  const running = Array.from({ length: count }, async (_, i) => {
    const db = postgres(pg.url(), { max: 1, onnotice: () => {} })
    const random = randomFrom(seed + i)
    while (!controller.signal.aborted) {
      await writeOnce(db, random, pause)
      await pause(random.int(15))
    }
    await db.end()
  })
  const stop = async (): Promise<void> => {
    writers.delete(stop)
    controller.abort()
    await Promise.all(running)
  }
  writers.add(stop)
  return stop
}

/** Before the first relay there is no stream. */
const published = (): Promise<number> => log.head().then((head) => head.last, () => 0)
/** What STATE must hold. */
const rowsNow = async (): Promise<ReadonlyArray<string>> =>
  (await sql<Array<{ row: string }>>`select project || ' ' || to_json(item.*) as row from item`).map(({ row }) => row).toSorted()
const more = async (messages: number): Promise<void> => {
  const from = await published()
  await until(async () => (await published()) >= from + messages, { what: `${messages} more messages`, deadline: 20_000, every: 20 })
}

it(`publishes every change once, in order, whole, though it is killed again and again (TIDELINE_SEED=${seed})`, async () => {
  const random = randomFrom(seed)
  const stop = startWriters(4)
  for (let round = 0; round < 4; round++) {
    const relay = await start()
    await more(1 + random.int(300))
    await kill(relay)
  }
  const last = await start()
  await more(50)
  await server.kill()
  await server.restart()
  await more(50)
  await stop()
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
  expect(await last.end("SIGTERM")).toBe(0)
  relays.delete(last)
  expect((await log.epochs()).length).toBe(1)
}, 90_000)

it("is superseded when it is stopped, and refused when it goes on", async () => {
  const stop = startWriters(2)
  const first = await start()
  await ready(first)
  const second = await start()
  await until(async () => (await second.reasons())?.length === 0, { what: "the second stands by" })
  expect(await second.metric("tideline_relay_active")).toBe(0)
  await more(20)
  first.signal("SIGSTOP")
  await until(async () => (await second.metric("tideline_relay_active")) === 1, { what: "the second works", deadline: 25_000 })
  await more(20)
  first.signal("SIGCONT")
  await more(50)
  await until(async () => (await first.metric("tideline_relay_active")) === 0, { what: "the first stands by" })
  await stop()
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
}, 90_000)

it("takes over though the session with which it stood by was lost and came back", async () => {
  const first = await start()
  await ready(first)
  const second = await start()
  await until(async () => (await second.reasons())?.length === 0, { what: "the second stands by" })
  // The one that works has asked for other things since.
  const asking = () => sql<Array<{ pid: number }>>`
    select pid from pg_stat_activity where application_name = 'tideline relay lease' and query like '%pg_try_advisory_lock%' and pid <> pg_backend_pid()`
  const waiting = await until(async () => {
    const sessions = await asking()
    return sessions.length === 1 && sessions[0]!.pid
  }, { what: "one session asks for the lease" })
  await sql`select pg_terminate_backend(${waiting})`
  await until(async () => (await asking()).some(({ pid }) => pid !== waiting), { what: "it is back" })
  await kill(first)
  await ready(second)
}, 60_000)

it("sleeps without a query, wakes by a notification, and does not miss a transaction older than its sleep", async () => {
  const relay = await start()
  await ready(relay)
  const asleep = () => until(async () => (await relay.metric("tideline_relay_asleep")) === 1, { what: "the relay sleeps" })
  await caughtUp(sql, log)
  await asleep()
  const looks = await relay.metric("tideline_relay_looks_total")
  const lastQuery = async () => (await sql`select query_start from pg_stat_activity where application_name = 'tideline relay'`)[0]!["query_start"] as Date
  const before = await lastQuery()
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  expect(await lastQuery()).toEqual(before)
  expect(await relay.metric("tideline_relay_looks_total")).toBe(looks)

  const from = await published()
  const began = performance.now()
  await sql`insert into item values (-1, 'p', 1)`
  await until(async () => (await published()) > from, { what: "the change is published", every: 1 })
  expect(performance.now() - began).toBeLessThan(1_000)

  expect(await compareWithOutbox(sql, log)).toEqual([])
}, 40_000)

it("does not sleep deep while a transaction is open that found it awake and will not notify", async () => {
  const relay = await start()
  await ready(relay)
  const held = async () => (await sql`
    select from pg_locks where locktype = 'advisory' and objid = tide.wake_key()::int::oid and mode = 'ExclusiveLock' and granted`).length > 0
  const stop = startWriters(3)
  const late = postgres(pg.url(), { max: 1, onnotice: () => {} })
  let id = -100
  // Until one has written while the relay held the lock before and after.
  await until(async () => {
    id--
    await late`begin`
    const before = await held()
    await late`insert into item values (${id}, 'p', 1)`
    if (before && (await held())) return true
    await late`commit`
    return false
  }, { what: "a transaction wrote while the relay was awake", deadline: 20_000, every: 1 })
  await stop()
  await until(async () => !(await held()), { what: "the relay lets go of the lock" })
  expect(await relay.metric("tideline_relay_asleep")).toBe(0)
  await late`commit`
  await caughtUp(sql, log, 5_000)
  await until(async () => (await relay.metric("tideline_relay_asleep")) === 1, { what: "the relay sleeps" })
  await late.end()
  expect(await compareWithOutbox(sql, log)).toEqual([])
}, 90_000)

it("waits for Postgres and for NATS, says so, and goes on", async () => {
  const relay = await start()
  await ready(relay)
  await server.kill()
  await sql`insert into item values (-10, 'p', 1)`
  await until(async () => (await relay.reasons())?.length === 1, { what: "it is not ready without NATS" })
  await server.restart()
  await ready(relay)
  await caughtUp(sql, log)
  await pg.kill()
  await until(async () => (await relay.reasons())?.length === 1, { what: "it is not ready without Postgres" })
  await pg.restart()
  await until(() => sql`select 1`, { what: "Postgres is back" })
  await sql`insert into item values (-11, 'p', 1)`
  await ready(relay)
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
}, 90_000)

it("opens an epoch where the stream lost what was acknowledged, and fills it again", async () => {
  const relay = await start()
  await ready(relay)
  await sql`insert into item values (-20, 'p', 1)`
  await caughtUp(sql, log)
  const backup = `${server.storeDir}-backup`
  await server.kill()
  cpSync(server.storeDir, backup, { recursive: true })
  await server.restart()
  await sql`insert into item select g, 'lost', g from generate_series(-2000, -1001) g`
  await caughtUp(sql, log)
  const epochs = await log.epochs()
  const end = await published()
  await until(async () => Number((await sql`select acked_seq from tide.relay_state`)[0]!["acked_seq"]) === end, { what: "it is noted" })
  await server.kill()
  // The harder case: the mirror lost nothing.
  const changes = (folder: string): string => join(folder, "jetstream", "TIDELINE", "streams", CHANGES)
  rmSync(changes(server.storeDir), { recursive: true })
  cpSync(changes(backup), changes(server.storeDir), { recursive: true })
  rmSync(backup, { recursive: true })
  await server.restart()
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
  await mirrored(log)
  const now = await log.epochs()
  expect(now.length).toBe(epochs.length + 1)
  expect(now.at(-1)).toMatchObject({ previous: epochs.at(-1)!.id, firstSeq: end - 1_000 + 1 })
  expect(await stateOf(log, "item")).toEqual(await rowsNow())
}, 90_000)

it("goes on after the mirror's end where CHANGES alone is gone", async () => {
  const relay = await start()
  await ready(relay)
  const { state } = await log.head()
  await nats.jetstream.streams.delete(CHANGES)
  await sql`insert into item values (-29, 'p', 1)`
  await until(async () => (await log.head()).first === state + 1, { what: "CHANGES is made anew", deadline: 20_000 })
  await until(async () => (await published()) === state + 2, { what: "an epoch and the change", deadline: 20_000 })
  expect(await stateOf(log, "item")).toEqual(await rowsNow())
}, 90_000)

it("begins again at the outbox's beginning where the streams are gone", async () => {
  const relay = await start()
  await ready(relay)
  await mirrored(log)
  const before = (await log.epochs()).at(-1)!
  await nats.jetstream.streams.delete(STATE)
  await nats.jetstream.streams.delete(CHANGES)
  await sql`insert into item values (-30, 'p', 1)`
  await until(async () => (await log.epochs()).at(-1)?.previous === before.id, { what: "a new epoch", deadline: 20_000 })
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
}, 90_000)

it("goes on in the middle of a transaction that is larger than a batch", async () => {
  const from = await published()
  await sql`insert into item select g, 'large', g from generate_series(5000000, 5007999) g`
  // Killed as soon as a part is there; where all of it was there already, this test says the same as the others.
  const relay = await start()
  await until(async () => (await published()) > from, { what: "a part is published", deadline: 20_000, every: 1 })
  await kill(relay)
  await start()
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
}, 90_000)
