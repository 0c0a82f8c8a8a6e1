import { Effect } from "effect"
import postgres from "postgres"
import type { Sql } from "postgres"
import { afterAll, beforeAll, expect, it } from "vitest"
import { migratedPostgres } from "#test/support/servers.ts"
import type { TestPostgres } from "#test/support/servers.ts"
import type { RelayCursor } from "./backlog.ts"
import { backlog } from "./backlog.ts"
import { readDatabase } from "./database.ts"

let server: TestPostgres
let sql: Sql
beforeAll(async () => {
  server = await migratedPostgres()
  sql = postgres(server.url(), { max: 3, onnotice: () => {} })
  await sql.unsafe("create table public.note (id int primary key); select tide.track('public.note', entity => 'note'); truncate tide.outbox")
})
afterAll(async () => {
  await sql.end()
  await server.stop()
})

const snapshot = async (): Promise<string> => (await sql<Array<{ now: string }>>`select pg_current_snapshot()::text as now`)[0]!.now
const write = (from: number, to: number) => sql`insert into public.note select generate_series(${from}::int, ${to}::int)`
const events = async (cursor: RelayCursor | null): Promise<number> => (await Effect.runPromise(backlog(sql, cursor))).events

it("what waits is what is committed and neither seen by the last window nor published of this one", async () => {
  const cursor = { epoch: "1-a", window: null, tx: 0, id: 0 }
  const s0 = await snapshot()
  await write(1, 2)
  const s1 = await snapshot()
  await write(3, 5)
  const s2 = await snapshot()
  await write(6, 9)
  const ids = (await sql<Array<{ id: string }>>`select id from tide.outbox order by outbox.id`).map((row) => Number(row.id))
  expect(await events(null)).toBe(9)
  expect(await events({ ...cursor, last: s0 })).toBe(9)
  expect(await events({ ...cursor, last: s1 })).toBe(7)
  expect(await events({ ...cursor, last: s2 })).toBe(4)
  expect(await events({ ...cursor, last: await snapshot() })).toBe(0)
  // A window that sees two transactions: nothing of it, half of the second, all of it.
  expect(await events({ ...cursor, last: s0, window: s2 })).toBe(9)
  expect(await events({ ...cursor, last: s0, window: s2, tx: ids[4]!, id: ids[3]! })).toBe(5)
  expect(await events({ ...cursor, last: s0, window: s2, tx: ids[4]!, id: ids[4]! })).toBe(4)
})

it("what is not committed does not wait, and waits from then on, whatever was committed in between", async () => {
  const open = await sql.reserve()
  await open`begin`
  await open`insert into public.note values (100)`
  await write(101, 101)
  const between = { epoch: "1-a", last: await snapshot(), window: null, tx: 0, id: 0 }
  expect(await events(between)).toBe(0)
  await open`commit`
  open.release()
  const late = await Effect.runPromise(backlog(sql, between))
  expect(late.events).toBe(1)
  expect(late.oldestMs).toBeGreaterThanOrEqual(0)
})

it("a relay is there while somebody holds the lease", async () => {
  const relay = await sql.reserve()
  const holds = async () => (await Effect.runPromise(readDatabase(sql))).relayHolds
  expect(await holds()).toBe(false)
  await relay`select pg_advisory_lock(tide.lease_key())`
  expect(await holds()).toBe(true)
  await relay`select pg_advisory_unlock(tide.lease_key())`
  relay.release()
  expect(await holds()).toBe(false)
})
