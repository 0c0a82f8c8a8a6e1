/**
 * From a commit to the stream, through the real relay, where it is not as simple as one session that commits: prepared transactions, what a
 * subscription applies, a row as large as can be; and who and how, all the way.
 */
import { Effect, Exit, Scope } from "effect"
import postgres from "postgres"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Sql } from "#db/postgres.ts"
import { connectNats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Log } from "#nats/log.ts"
import { CHANGES } from "#nats/streams.ts"
import { refusal } from "#test/support/database.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import { caughtUp, compareWithOutbox, startRelay, wholeLog } from "#test/support/relay.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"

let pg: TestPostgres
let server: TestNats
let sql: Sql
let scope: Scope.Closeable
let log: Log
let relay: RelayProcess
let nats: Effect.Success<ReturnType<typeof connectNats>>

beforeAll(async () => {
  ;[pg, server] = await Promise.all([migratedPostgres(), startNats()])
  const first = postgres(pg.url(), { max: 1 })
  await first`alter system set wal_level = logical`
  await first`alter system set max_prepared_transactions = 10`
  await first.end()
  await pg.restart()
  sql = postgres(pg.url(), { max: 4, onnotice: () => {} })
  scope = Scope.makeUnsafe()
  nats = await Effect.runPromise(Scope.provide(connectNats(server.url(), "test"), scope))
  log = jetStreamLog(nats)
  await sql.unsafe(`create table public.item (id int primary key, project text, v text); select tide.track('public.item', 'item', 'project')`)
  relay = await startRelay(pg.url("tide_relay"), server.url("relay"))
  await until(async () => (await relay.metric("tideline_relay_active")) === 1, { what: "the relay works", deadline: 20_000 })
}, 90_000)

afterAll(async () => {
  await relay?.end("SIGKILL")
  await sql?.end()
  if (scope !== undefined) await Effect.runPromise(Scope.close(scope, Exit.void))
  await Promise.all([pg?.stop(), server?.stop()])
})

/** A connection of its own that ends with the work. */
const alone = async <A>(work: (session: Sql) => Promise<A>, url = pg.url()): Promise<A> => {
  const session = postgres(url, { max: 1, onnotice: () => {} })
  try {
    return await work(session)
  } finally {
    await session.end()
  }
}
const told = async (entity: string) => (await wholeLog(log)).filter((m) => m.address.entity === entity)
const nothingWrong = async () => {
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
}
/** Waits until the relay would sleep if it could: it has let go of the wake lock. */
const idle = () => until(async () => (await sql`
  select from pg_locks where locktype = 'advisory' and objid = tide.wake_key()::int::oid and mode = 'ExclusiveLock' and granted`).length === 0, { what: "the relay lets go of the lock" })

describe("prepared transactions", () => {
  const prepare = (name: string, id: number) => alone(async (session) => {
    await session`begin`
    await session`insert into item values (${id}, 'p', ${name})`
    await session.unsafe(`update item set v = v || '!' where id = ${id}; prepare transaction '${name}'`)
  })

  it("are published when they are committed, by whomever, with the transaction they were", async () => {
    await idle()
    await prepare("one", 1)
    await sql`insert into item values (2, 'p', 'later, earlier')`
    await until(async () => (await told("item")).length === 1, { what: "the other change" })
    await sql`commit prepared 'one'`
    await until(async () => (await told("item")).length === 3, { what: "the prepared one", deadline: 5_000 })
    const [other, insert, update] = await told("item")
    expect([other!.address.id, insert!.address.id, update!.operation]).toEqual(["2", "1", "UPDATE"])
    expect(insert!.transaction.xid).toBe(update!.transaction.xid)
    expect(Number(insert!.transaction.xid)).toBeLessThan(Number(other!.transaction.xid))
    await nothingWrong()
  }, 60_000)

  it("survive a restart of Postgres in between, and are nothing where they are rolled back", async () => {
    await prepare("kept", 3)
    await prepare("dropped", 4)
    await pg.kill()
    await pg.restart()
    await until(() => sql`select 1`, { what: "Postgres is back" })
    await sql`insert into item values (5, 'p', 'after the restart')`
    await until(async () => (await told("item")).some((m) => m.address.id === "5"), { what: "the relay goes on", deadline: 20_000 })
    await sql`rollback prepared 'dropped'`
    await sql`commit prepared 'kept'`
    await until(async () => (await told("item")).some((m) => m.address.id === "3"), { what: "the prepared one" })
    await nothingWrong()
    expect((await told("item")).some((m) => m.address.id === "4")).toBe(false)
  }, 60_000)
})

describe("what a subscription applies", () => {
  const there = () => pg.url().replace(/\/[^/]*$/, "/publisher")
  const states = async (table: string) => (await sql.unsafe(`select string_agg(srsubstate::text, '') as s from pg_subscription_rel where srrelid = 'public.${table}'::regclass`))[0]!["s"] as string
  /** In one server Postgres would wait for itself to make the slot. */
  const subscribe = async (name: string, tables: string) => {
    await alone((publisher) => publisher.unsafe(`create publication ${name} for table ${tables}`), there())
    await alone((publisher) => publisher`select pg_create_logical_replication_slot(${name}, 'pgoutput')`, there())
    await sql.unsafe(`create subscription ${name} connection '${there()}' publication ${name} with (create_slot = false, slot_name = '${name}')`)
  }

  it("is published: the first copy, and every change after it", async () => {
    await sql`create database publisher`
    const schema = `
      create table public.copied (id int primary key, v int);
      create table public.before (id int primary key, v int);
      create table public.tree (id int primary key, v int) partition by range (id);
      create table public.tree_1 partition of public.tree for values from (0) to (10); create table public.tree_2 partition of public.tree for values from (10) to (100)`
    await alone(async (publisher) => {
      await publisher.unsafe(schema)
      await publisher.unsafe(`insert into copied values (1, 1), (2, 2); insert into before values (1, 1), (2, 2); insert into tree values (1, 1), (11, 2)`)
    }, there())
    await sql.unsafe(schema)
    // Two are tracked before the subscription comes: of one the first copy is told by the triggers it has, and nothing after it.
    await sql.unsafe(`select tide.track('before', 'before'), tide.track('tree', 'tree')`)
    await subscribe("sub", "copied, before, tree")
    for (const table of ["copied", "before"]) await until(async () => (await states(table)) === "r", { what: `${table} is copied`, deadline: 30_000 })
    expect(await sql`select entity, what from tide.outdated() order by 1`).toEqual([{ entity: "before", what: "a subscription fills it now, and fires no statement triggers: its changes are lost" }])
    await sql.unsafe(`select tide.track('before', 'before'), tide.track('copied', 'copied'); select tide.backfill('copied')`)
    expect(await sql`select entity from tide.outdated()`).toEqual([])
    await until(async () => (await sql`select from public.tree`).length === 2, { what: "the partitions are copied" })

    await alone((publisher) => publisher.unsafe(`
      begin; insert into before values (3, 3); update before set v = 9 where id = 1; delete from before where id = 2; update before set id = 30 where id = 3; commit;
      update copied set v = v + 10; update tree set v = 7; update tree set id = 12 where id = 1; truncate copied`), there())
    const story = async (entity: string) => (await told(entity)).map((m) => `${m.operation} ${m.address.id} ${m.body}`)
    await until(async () => (await told("copied")).length === 6 && (await told("tree")).length === 6, { what: "everything is published", deadline: 20_000 })
    expect(await story("before")).toEqual([
      'INSERT 1 {"id":1,"v":1}', 'INSERT 2 {"id":2,"v":2}', 'INSERT 3 {"id":3,"v":3}', 'UPDATE 1 {"id":1,"v":9}', "DELETE 2 ", "DELETE 3 ", 'INSERT 30 {"id":30,"v":3}'])
    expect(await story("copied")).toEqual(['READ 1 {"id":1,"v":1}', 'READ 2 {"id":2,"v":2}', 'UPDATE 1 {"id":1,"v":11}', 'UPDATE 2 {"id":2,"v":12}', "DELETE 1 ", "DELETE 2 "])
    expect((await story("tree")).slice(-4)).toEqual(['UPDATE 1 {"id":1,"v":7}', 'UPDATE 11 {"id":11,"v":7}', "DELETE 1 ", 'INSERT 12 {"id":12,"v":7}'])
    await nothingWrong()
    await sql`drop subscription sub`
  }, 90_000)
})

describe("who and how", () => {
  it("go from the session's settings to the outbox and the message's headers, whatever their characters", async () => {
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    const settings = {
      user_id: "ada\r\nTide-User: eve 100% \u{1F986}", request_id: "r-1", endpoint: "/v1/items", method: "PATCH", user_agent: "Firefox/1", ip: "203.0.113.7",
      mutation_id: "m:1\n", traceparent: trace,
    }
    await sql.begin(async (tx) => {
      for (const [name, value] of Object.entries(settings)) await tx`select set_config(${`tide.${name}`}, ${value}, true)`
      await tx`insert into item values (500, 'p', 'who')`
    })
    const [row] = await sql`select * from tide.outbox where entity = 'item' and entity_id = '500'`
    expect(row).toMatchObject(settings)
    const message = await until(async () => (await told("item")).find((m) => m.address.id === "500"), { what: "it is published" })
    expect([message.user, message.mutation]).toEqual([settings.user_id, settings.mutation_id])
    const raw = await nats.jetstream.streams.getMessage(CHANGES, { seq: message.seq })
    expect(raw!.header.get("traceparent")).toBe(trace)
    expect(raw!.header.values("Tide-User")).toHaveLength(1)
    expect(raw!.header.get("Tide-At")).toBe(message.at)
    expect(Math.abs(Date.parse(message.at) - (row!["at"] as Date).getTime())).toBeLessThan(1)
  }, 30_000)
})

describe("the largest row", () => {
  it("that Postgres takes is a message that NATS takes, with the longest headers; one byte more is refused where it is written", async () => {
    const [bounds] = await sql<Array<{ row: number; setting: number }>>`select tide.row_bytes() as row, tide.setting_bytes() as setting`
    const longest = "%".repeat(bounds!.setting)
    const write = (id: number, size: number) => sql.begin(async (tx) => {
      for (const name of ["user_id", "mutation_id", "traceparent"]) await tx`select set_config(${`tide.${name}`}, ${longest}, true)`
      // What is left of the row's JSON beside the text.
      await tx.unsafe(`insert into item values (${id}, null, repeat('x', ${size} - length('{"id":${id},"project":null,"v":""}')))`)
    })
    expect(await refusal(write(600, bounds!.row + 1))).toMatchObject({ code: "54000", message: expect.stringContaining("too large for an event"), hint: expect.stringMatching(/.+/) })
    await write(601, bounds!.row)
    await sql`insert into item values (602, 'p', 'after it')`
    await until(async () => (await told("item")).some((m) => m.address.id === "602"), { what: "it and the next are published", deadline: 20_000 })
    const large = (await told("item")).find((m) => m.address.id === "601")!
    expect(large.body.length).toBe(bounds!.row)
    expect(large.user).toBe(longest)
    await nothingWrong()
  }, 60_000)

  it.each(["user_id", "mutation_id", "traceparent"])("a longer %s is refused with its name", async (name) => {
    const [bounds] = await sql<Array<{ setting: number }>>`select tide.setting_bytes() as setting`
    expect(await refusal(sql.begin(async (tx) => {
      await tx`select set_config(${`tide.${name}`}, ${"x".repeat(bounds!.setting + 1)}, true)`
      await tx`insert into item values (700, 'p', 'never')`
    }))).toMatchObject({ code: "54000", message: expect.stringContaining(`tide.${name}`) })
  })

  it("holds for what a grant or membership takes away, whose message carries the row before", async () => {
    const longest = "%".repeat(339)
    await sql`select authz.grant_access(${`user:${longest}`}, scope => ${longest}, entity => 'item', entity_id => ${longest}, level => 'VIEW')`
    await sql`select authz.revoke_access(${`user:${longest}`}, scope => ${longest}, entity => 'item', entity_id => ${longest})`
    await nothingWrong()
    for (const [principal, where, id] of [["x".repeat(9_000_000), "p", "1"], ["user:a", "x".repeat(1_025), "1"], ["user:a", "p", "x".repeat(1_025)]] as const)
      expect((await refusal(sql`select authz.grant_access(${`user:${principal}`}, scope => ${where}, entity => 'item', entity_id => ${id}, level => 'VIEW')`)).message).toMatch(/too long/)
    expect((await refusal(sql`select authz.add_member(${"x".repeat(2_000)}, 'ada')`)).message).toMatch(/too long/)
  })
})
