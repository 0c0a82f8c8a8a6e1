/**
 * Every way in which the stream, its mirror or Postgres goes back in time or is replaced by another. Each ends with what is right: STATE has
 * the rows of every tracked table and nothing else, the relay's log and `tideline doctor` name the reason. One history after another.
 */
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import postgres from "postgres"
import { afterAll, afterEach, beforeAll, expect, it } from "vitest"
import type { Sql } from "#db/postgres.ts"
import { tideline } from "../../cli/testing.ts"
import { connectNats } from "#nats/connection.ts"
import type { Nats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Log } from "#nats/log.ts"
import { applyStreams, CHANGES, STATE } from "#nats/streams.ts"
import { appendChanges } from "#test/support/append.ts"
import { copyFolder } from "#test/support/folder.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import { mirrored, startRelay } from "#test/support/relay.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"

let pg: TestPostgres
let server: TestNats
let sql: Sql
let nats: Nats
let log: Log
let scope: Scope.Closeable
const relays = new Set<RelayProcess>()
const stops: Array<() => Promise<void>> = []

const tables = `
  create table public.item (id int primary key, project text, v int);
  select tide.track('public.item', entity => 'item', scope => 'project')`
const open = (to: TestPostgres): Sql => {
  const opened = postgres(to.url(), { max: 2, onnotice: () => {} })
  stops.push(() => opened.end({ timeout: 1 }))
  return opened
}

beforeAll(async () => {
  ;[pg, server] = await Promise.all([migratedPostgres(), startNats()])
  sql = open(pg)
  scope = Scope.makeUnsafe()
  nats = await Effect.runPromise(Scope.provide(connectNats(server.url(), "test"), scope))
  log = jetStreamLog(nats)
  await sql.unsafe(tables)
  await sql`insert into item select g, 'p' || g % 3, 0 from generate_series(1, 300) g`
  await sql`select authz.sign_out('mallory'), authz.sign_out('mallory', 'phone')`
}, 60_000)

afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await Promise.all([pg.stop(), server.stop()])
})

afterEach(async () => {
  await Promise.all([...relays].map((relay) => relay.end("SIGKILL")))
  relays.clear()
})

const start = async (on = pg): Promise<RelayProcess> => {
  const relay = await startRelay(on.url("tide_relay"), server.url("relay"))
  relays.add(relay)
  return relay
}
const kill = async (relay: RelayProcess): Promise<void> => {
  relays.delete(relay)
  await relay.end("SIGKILL")
}
const ready = (relay: RelayProcess): Promise<unknown> =>
  until(async () => (await relay.reasons())?.length === 0 && (await relay.metric("tideline_relay_active")) === 1, { what: "the relay works", deadline: 20_000 }).catch((cause: unknown) =>
    Promise.reject(new Error(`the relay does not work:\n${relay.log().slice(-2_000)}`, { cause })),
  )

/** What the log must say: every row of every tracked table, and of the log's own. */
const truth = async (db = sql): Promise<ReadonlyArray<string>> => {
  const [{ query }] = await db<[{ query: string }]>`
    select string_agg(format('select to_json(t)::text as row from %s t', name), ' union all ' order by name) as query
    from (select table_name as name from tide.tracked union all values ('tide.tracked'), ('authz.grants'), ('authz.members'), ('authz.sign_outs')) tables`
  // As the capture functions write images.
  const rows = await db.begin(async (tx) => {
    await tx`set local timezone = 'UTC'`
    await tx`set local search_path = pg_catalog`
    return tx.unsafe<Array<{ row: string }>>(query)
  })
  return rows.map(({ row }) => row).toSorted()
}
/** What it says. */
const told = async (): Promise<ReadonlyArray<string>> => {
  await mirrored(log)
  const bodies: Array<string> = []
  const page = (messages: ReadonlyArray<{ readonly body: string; readonly address: { readonly entity: string } }>): void => {
    for (const { body, address } of messages) if (body !== "" && address.entity !== "_epoch") bodies.push(body)
  }
  await log.readState({ patterns: [{ scope: null, entity: null, id: null }], after: 0, page })
  return bodies.toSorted()
}
/** The epochs so far, their reasons. */
const epochs = async (): Promise<ReadonlyArray<string>> => (await log.epochs()).map((epoch) => epoch.reason)
const rebuilt = (db = sql): Promise<unknown> =>
  until(async () => (await db`select from tide.rebuild where done_at is null`).length === 0, { what: "nothing is left to rebuild", deadline: 30_000, every: 50 })
/** Everything is published, rebuilt and in STATE, and right. */
const settles = async (relay: RelayProcess, db = sql): Promise<void> => {
  await ready(relay)
  await db`update item set v = v + 1 where id = 1`
  const [{ v }] = await db<[{ v: number }]>`select v from item where id = 1`
  await until(async () => (await log.latest([{ scope: "p1", entity: "item", id: "1" }]))[0]?.body.includes(`"v":${v}}`), { what: "the newest change is there", deadline: 20_000, every: 50 })
  await rebuilt(db)
  expect(await told()).toEqual(await truth(db))
}
interface Finding { readonly check: string; readonly state: string; readonly found: string }
const doctor = async (check: string, on = pg): Promise<Finding | undefined> =>
  ((await tideline(["doctor", "--json"], { DATABASE_URL: on.url(), NATS_URL: server.url() })).json() as ReadonlyArray<Finding>).find((finding) => finding.check === check)
/** A backup of Postgres' files; `restore` puts it back. */
const backup = async (): Promise<() => void> => {
  const copy = `${pg.dataDir}-backup`
  await pg.kill()
  copyFolder(pg.dataDir, copy)
  await pg.restart()
  await until(() => sql`select 1`, { what: "Postgres is back" })
  return () => {
    copyFolder(copy, pg.dataDir)
    rmSync(copy, { recursive: true })
  }
}
/** What only a lost future has: an entity, a table, a grant; changes of rows that were there before. */
const future = async (): Promise<void> => {
  await sql`insert into item select g, 'lost', g from generate_series(1000, 1100) g`
  await sql`update item set v = -1 where id between 10 and 20`
  await sql`update item set project = 'moved' where id between 21 and 30`
  await sql`delete from item where id between 31 and 40`
  await sql`select authz.grant_access(principal => 'user:mallory', scope => 'p1', level => 'OWNER')`
  await sql`create table public.ghost (id text primary key)`
  await sql`select tide.track('public.ghost', entity => 'ghost')`
  await sql`insert into ghost values ('boo'), ('hoo')`
}
/** Everything is published, and noted. */
const published = async (relay: RelayProcess): Promise<void> => {
  await ready(relay)
  await until(async () => {
    const [now] = await sql`select exists (select from tide.outbox o, tide.relay_state s where o.at > s.updated_at) as newer, acked_seq::float8 as acked from tide.relay_state`
    return !now!["newer"] && now!["acked"] === (await log.head()).last && (await relay.metric("tideline_relay_asleep")) === 1
  }, { what: "everything is published", deadline: 20_000, every: 50 })
}
const copyStore = async (use: (copy: string) => void): Promise<void> => {
  await server.kill()
  use(`${server.storeDir}-backup`)
  await server.restart()
}

it("nats-server restored from an older copy of both streams: what was lost is published again", async () => {
  const relay = await start()
  await settles(relay)
  expect(await epochs()).toEqual(["the first epoch"])
  await copyStore((copy) => copyFolder(server.storeDir, copy))
  await sql`insert into item select g, 'p1', g from generate_series(2000, 2050) g`
  await published(relay)
  await copyStore((copy) => copyFolder(copy, server.storeDir))
  await until(async () => (await epochs()).length === 2, { what: "an epoch", deadline: 20_000 })
  await settles(relay)
  expect((await epochs())[1]).toMatch(/its tail was lost/)
  expect(relay.log()).toMatch(/epoch 2-\w+: the stream ends at \d+, \d+ was acknowledged: its tail was lost/)
  expect(await doctor("epoch")).toMatchObject({ state: "warning", found: expect.stringContaining("its tail was lost") })
  expect(await sql`select from tide.rebuild`).toHaveLength(0)
}, 60_000)

it("a copy older than what the outbox retains: what it does not have is rebuilt", async () => {
  const relay = await start()
  await settles(relay)
  await copyStore((copy) => copyFolder(server.storeDir, copy))
  await sql`insert into item select g, 'p1', g from generate_series(3000, 3050) g`
  await sql`delete from item where id between 2000 and 2010`
  await published(relay)
  // As the partitions that are dropped when they are old.
  await sql`with gone as (delete from tide.outbox returning xid) update tide.relay_state set dropped_xid = (select xid from gone order by xid desc limit 1)`
  await copyStore((copy) => copyFolder(copy, server.storeDir))
  await until(async () => (await epochs()).length === 3, { what: "an epoch", deadline: 20_000 })
  await settles(relay)
  // 51 new rows, one changed at each settling, and nothing that the copy had.
  expect((await sql`select sum(written)::int as written from tide.rebuild`)[0]!["written"]).toBeLessThan(80)
  expect(await doctor("rebuild")).toMatchObject({ state: "warning", found: expect.stringMatching(/its tail was lost\. Complete/) })
}, 60_000)

it("CHANGES deleted, then both streams, when old partitions are gone: everything is there again", async () => {
  const relay = await start()
  await settles(relay)
  await nats.jetstream.streams.delete(CHANGES)
  await sql`insert into item values (4000, 'p1', 1)`
  await until(async () => (await epochs()).length === 4, { what: "an epoch", deadline: 20_000 })
  await settles(relay)
  await nats.jetstream.streams.delete(STATE)
  await nats.jetstream.streams.delete(CHANGES)
  await sql`insert into item values (4001, 'p1', 1)`
  await until(async () => (await epochs()).join() === "the stream was made anew", { what: "the streams are made anew", deadline: 20_000 })
  await settles(relay)
  expect(relay.log()).toMatch(/bringing the log into line with the tables: the stream was made anew/)
  expect(await doctor("rebuild")).toMatchObject({ found: expect.stringContaining("the stream was made anew. Complete") })
}, 60_000)

it("STATE deleted when CHANGES no longer holds everything: it is filled again, under the same epoch", async () => {
  const first = await start()
  await settles(first)
  const before = await epochs()
  await kill(first)
  const { config } = await nats.jetstream.streams.info(CHANGES)
  await nats.jetstream.streams.update(CHANGES, { ...config, max_msgs: 5 })
  await nats.jetstream.streams.delete(STATE)
  const relay = await start()
  await settles(relay)
  expect(relay.log()).toMatch(/bringing the log into line with the tables: STATE was made anew/)
  expect(before).toEqual(["the stream was made anew"])
  expect(relay.log()).toContain("publishing, going on after")
}, 60_000)

it("another stream under the same name, made by hand: its content goes, ours comes", async () => {
  const first = await start()
  await settles(first)
  await kill(first)
  await nats.jetstream.streams.delete(STATE)
  await nats.jetstream.streams.delete(CHANGES)
  await applyStreams(nats)
  await appendChanges(nats, [
    { scope: "p1", entity: "item", id: "1", body: '{"id":1,"project":"p1","v":777}' },
    { scope: "p9", entity: "item", id: "none", body: '{"id":"none"}' },
    { scope: null, entity: "stranger", id: "x", body: "{}" },
    { scope: null, entity: "_grant", id: "forged", body: '{"id":"forged","principal":"everyone","scope":null,"entity":null,"entity_id":null,"level":"OWNER","expires_at":null}' },
  ])
  const relay = await start()
  await settles(relay)
  expect((await epochs()).at(-1)).toMatch(/are no relay's: it is another stream/)
  // By hand, behind the relay's back: told at the next look, and put right.
  await appendChanges(nats, [{ scope: "p2", entity: "item", id: "2", body: '{"id":2,"project":"p2","v":888}' }])
  await settles(relay)
  expect(relay.log()).toMatch(/bringing the log into line with the tables: somebody else published to CHANGES/)
}, 60_000)

it("a stream that is configured wrong: the relay says so, and goes on when it is gone", async () => {
  const first = await start()
  await settles(first)
  await kill(first)
  await nats.jetstream.streams.delete(STATE)
  await nats.jetstream.streams.delete(CHANGES)
  await nats.jetstream.streams.add({ name: CHANGES, subjects: ["chg.*.*.*"], storage: "memory" } as never)
  const relay = await start()
  await until(async () => (await relay.reasons())?.[0]?.includes('exists with storage "memory"'), { what: "it says so", deadline: 20_000 })
  expect(await doctor(`stream ${CHANGES}`)).toMatchObject({ state: "problem" })
  await nats.jetstream.streams.delete(CHANGES)
  await settles(relay)
}, 60_000)

it("Postgres restored from an older backup, its transaction ids used again for others: the lost future is forgotten", async () => {
  const first = await start()
  await settles(first)
  const restore = await backup()
  await ready(first)
  await future()
  await settles(first)
  const [{ xmax }] = await sql<[{ xmax: string }]>`select pg_snapshot_xmax(pg_current_snapshot())::text as xmax`
  await kill(first)
  await pg.kill()
  restore()
  await pg.restart()
  // Other transactions under the ids that the stream's cursor has seen, before any relay is there.
  await until(() => sql`select 1`, { what: "Postgres is back" })
  for (let id = 5000; BigInt((await sql`select pg_snapshot_xmax(pg_current_snapshot())::text as xmax`)[0]!["xmax"] as string) <= BigInt(xmax) + 5n; id++) await sql`insert into item values (${id}, 'p2', 1)`
  const relay = await start()
  await settles(relay)
  expect((await epochs()).at(-1)).toMatch(/Postgres has lost transaction \d+, which is at \d+ in the stream/)
  expect(relay.log()).toMatch(/Postgres has lost transaction/)
  expect(await doctor("rebuild")).toMatchObject({ state: "warning", found: expect.stringMatching(/Postgres has lost transaction .*Complete/) })
  expect((await log.latest([{ scope: null, entity: "ghost", id: "boo" }]))[0]?.body).toBe("")
}, 60_000)

it("a replica promoted that had everything: nothing happens; one that was behind: what it lost is forgotten", async () => {
  const relay = await start()
  await settles(relay)
  const before = await epochs()
  const timeline = async () => (await sql<[{ timeline: number }]>`select timeline_id as timeline from pg_control_checkpoint()`)[0].timeline
  const from = await timeline()
  /** Ends recovery at once, as a promotion does. */
  const promote = (): void => {
    writeFileSync(join(pg.dataDir, "recovery.signal"), "")
    writeFileSync(join(pg.dataDir, "postgresql.auto.conf"), "restore_command = 'false'\n", { flag: "a" })
  }
  await pg.kill()
  promote()
  await pg.restart()
  await until(async () => (await timeline()) === from + 1, { what: "another timeline", deadline: 20_000 })
  await settles(relay)
  expect(await epochs()).toEqual(before)
  const restore = await backup()
  await ready(relay)
  await future()
  await settles(relay)
  await pg.kill()
  restore()
  promote()
  await pg.restart()
  await until(async () => (await epochs()).length === before.length + 1, { what: "an epoch", deadline: 20_000 })
  await settles(relay)
  expect(await timeline()).toBe(from + 2)
  expect((await epochs()).at(-1)).toMatch(/Postgres (has lost transaction|went back in time)/)
}, 60_000)

it("goes on where a relay was killed in the middle of a rebuild, with changes all the while", async () => {
  await sql`insert into item select g, 'many', 0 from generate_series(10000, 15999) g`
  await sql`alter table item disable trigger user`
  await sql`update item set v = 1 where project = 'many' and id % 10 = 0`
  await sql`delete from item where id between 15000 and 15099`
  await sql`select tide.track('public.item', entity => 'item', scope => 'project')`
  await sql`select tide.request_rebuild('a test')`
  await sql`update tide.rebuild set rate = 3000`
  const progress = async () => Number((await sql`select looked_at from tide.rebuild where kind = 'rows' and what = 'item'`)[0]!["looked_at"])
  for (let killed = 0; killed < 2; killed++) {
    const relay = await start()
    const from = await progress()
    await until(async () => {
      await sql`update item set v = v + 1 where id = 10001`
      return (await progress()) > from
    }, { what: "a page", deadline: 20_000 })
    await kill(relay)
  }
  const relay = await start()
  await settles(relay)
  const [{ count, looked }] = await sql<[{ count: number; looked: number }]>`select (select count(*)::int from item) as count, looked_at::int as looked from tide.rebuild where kind = 'rows' and what = 'item'`
  expect(looked).toBe(count)
}, 60_000)

it("backfills a large table that is written all the while: nothing newer is overwritten, and it does not outrun the relay", async () => {
  await sql`create table public.large (id int primary key, v int)`
  await sql`insert into large select g, 0 from generate_series(1, 12000) g`
  await sql`select tide.track('public.large', entity => 'large')`
  const relay = await start()
  await ready(relay)
  const writing = { on: true }
  const writers = Array.from({ length: 3 }, async (_, w) => {
    const db = open(pg)
    for (let i = 0; writing.on; i++) {
      const id = 1 + ((i * 7_919 + w * 104_729) % 12_000)
      if (i % 11 === 0) await db`delete from large where id = ${id}`
      else await db`insert into large values (${id}, 1) on conflict (id) do update set v = large.v + 1`
    }
  })
  await sql`select tide.request_backfill('public.large', 100000)`
  await rebuilt()
  // Again while it is there already: only what the writers are just changing may seem to differ.
  const again = await tideline(["backfill", "public.large", "--rate", "100000"], { DATABASE_URL: pg.url() })
  expect(again).toMatchObject({ code: 0, out: expect.stringMatching(/All [\d,]+ rows of public.large are in the log/), err: expect.stringContaining("rows looked at") })
  writing.on = false
  await Promise.all(writers)
  await settles(relay)
  const [{ looked, written }] = await sql<[{ looked: number; written: number }]>`select looked_at::int as looked, written::int as written from tide.rebuild where what = 'large'`
  expect(looked).toBeGreaterThan(8_000)
  expect(written).toBeLessThan(looked / 4)
}, 60_000)

/** What pg_dump and a load do: the rows as they are, triggers afterwards, sequences where they were. Answers the new cluster. */
const dumpAndLoad = async (): Promise<TestPostgres> => {
  const other = await migratedPostgres()
  const db = open(other)
  await db`drop table if exists ghost`
  await db.unsafe(tables)
  await db.unsafe("create table public.large (id int primary key, v int); select tide.track('public.large', entity => 'large')")
  await db`truncate tide.outbox, tide.rebuild`
  await db.unsafe("alter table item disable trigger user; alter table large disable trigger user; alter table authz.grants disable trigger user; alter table authz.members disable trigger user; alter table tide.tracked disable trigger user")
  for (const [from, to] of [["item", "item"], ["large", "large"], ["tide.outbox", "tide.outbox"], ["tide.relay_state", "tide.relay_state"], ["authz.members", "authz.members"]]) {
    const rows = await sql.unsafe(`select to_json(t)::text as row from ${from} t`)
    await db.unsafe(`insert into ${to} overriding system value select (json_populate_record(null::${to}, row::json)).* from unnest($1::text[]) row`, [rows.map((row) => row["row"] as string)])
  }
  await db`select setval(pg_get_serial_sequence('tide.outbox', 'id'), ${(await sql`select max(id) from tide.outbox`)[0]!["max"] as string}::bigint)`
  await db.unsafe("alter table item enable always trigger tide_insert")
  await db`select tide.track('public.item', entity => 'item', scope => 'project'), tide.track('public.large', entity => 'large')`
  for (const [table, entity] of [["tide.tracked", "_entity"], ["authz.grants", "_grant"], ["authz.members", "_member"], ["authz.sign_outs", "_sign_out"]]) await db`select tide.attach(${table!}::text::regclass, ${entity!}, null, true)`
  return other
}

it("Postgres dumped and loaded into a new cluster: the old ids never count there, and its log is told from the old cluster's", async () => {
  await sql`create table if not exists public.large (id int primary key, v int)`
  await sql`select tide.track('public.large', entity => 'large')`
  const first = await start()
  await settles(first)
  await sql`insert into item select g, 'p1', 1 from generate_series(7000, 7100) g`
  await published(first)
  await kill(first)
  const other = await dumpAndLoad()
  stops.push(() => other.stop())
  const db = open(other)
  await db`delete from item where id between 41 and 50`
  const relay = await start(other)
  await settles(relay, db)
  expect((await epochs()).at(-1)).toBe("Postgres was dumped and loaded into another cluster")
  expect(await doctor("rebuild", other)).toMatchObject({ found: expect.stringContaining("dumped and loaded into another cluster. Complete") })
  // Transaction ids run past those that the loaded rows carried.
  const [{ xid }] = await sql<[{ xid: string }]>`select pg_snapshot_xmax(pg_current_snapshot())::text as xid`
  const { last } = await log.head()
  await db.unsafe(`do $$ begin while pg_current_xact_id() <= '${xid}' loop commit; end loop; end $$`)
  await settles(relay, db)
  expect((await log.head()).last).toBe(last + 1)
  expect((await db`select count(*)::int as old from tide.outbox where xid = '0'`)[0]!["old"]).toBeGreaterThan(100)
  await kill(relay)
  // And the stream, which is now the new cluster's, meets the old one again.
  const back = await start()
  await settles(back)
  expect((await epochs()).at(-1)).toMatch(/of another Postgres cluster/)
}, 90_000)

it("pg_upgrade gives the cluster another name and keeps its transactions: nothing happens", async () => {
  const first = await start()
  await settles(first)
  const before = await epochs()
  await kill(first)
  await pg.kill()
  rename(pg.dataDir)
  await pg.restart()
  await until(() => sql`select 1`, { what: "Postgres is back" })
  await sql`insert into item values (8000, 'p1', 1)`
  const relay = await start()
  await settles(relay)
  expect(await epochs()).toEqual(before)
  expect(relay.log()).toMatch(/Postgres was upgraded: system identifier \d+ is now \d+/)
}, 60_000)

/** Another system identifier: the first eight bytes of pg_control, with the checksum wherever this version has it, and in each file of the log. */
const rename = (folder: string): void => {
  const file = join(folder, "global", "pg_control")
  const control = readFileSync(file)
  let crc = 0xffffffff
  let at = -1
  for (let i = 0; i < 1_024 && at < 0; i++) {
    if (i % 4 === 0 && i > 100 && control.readUInt32LE(i) === (crc ^ 0xffffffff) >>> 0) at = i
    crc = crc32c(crc, control[i]!)
  }
  control.writeBigUInt64LE(control.readBigUInt64LE(0) + 1n, 0)
  crc = 0xffffffff
  for (let i = 0; i < at; i++) crc = crc32c(crc, control[i]!)
  control.writeUInt32LE((crc ^ 0xffffffff) >>> 0, at)
  writeFileSync(file, control)
  for (const name of readdirSync(join(folder, "pg_wal")).filter((each) => /^[0-9A-F]{24}$/.test(each))) {
    const segment = openSync(join(folder, "pg_wal", name), "r+")
    writeSync(segment, control, 0, 8, 24)
    closeSync(segment)
  }
}
const crc32c = (crc: number, byte: number): number => {
  let next = (crc ^ byte) >>> 0
  for (let bit = 0; bit < 8; bit++) next = (next & 1) === 1 ? ((next >>> 1) ^ 0x82f63b78) >>> 0 : next >>> 1
  return next
}
