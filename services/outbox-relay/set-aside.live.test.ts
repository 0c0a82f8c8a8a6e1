/** A row that fits no message of the server: everything else goes on, nothing of its address overtakes it, and an operator brings it back. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Scope } from "effect"
import postgres from "postgres"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { Sql } from "#db/postgres.ts"
import { connectNats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Log } from "#nats/log.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import { caughtUp, compareWithOutbox, startRelay, stateOf, wholeLog } from "#test/support/relay.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"

let pg: TestPostgres
let server: TestNats
let sql: Sql
let scope: Scope.Closeable
let log: Log
let relay: RelayProcess
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tideline-test-conf-"))
  const conf = readFileSync(fileURLToPath(new URL("../../nats/nats.conf", import.meta.url)), "utf8")
  writeFileSync(join(folder, "small.conf"), conf.replace("max_payload: 8MB", "max_payload: 512KB"))
  ;[pg, server] = await Promise.all([migratedPostgres(), startNats({ config: join(folder, "small.conf") })])
  sql = postgres(pg.url(), { max: 2, onnotice: () => {} })
  scope = Scope.makeUnsafe()
  log = jetStreamLog(await Effect.runPromise(Scope.provide(connectNats(server.url(), "test"), scope)))
  await sql`create table public.doc (id text primary key, project text, body text)`
  await sql`select tide.track('public.doc', entity => 'doc', scope => 'project')`
  relay = await start()
}, 90_000)

afterAll(async () => {
  await relay.end("SIGKILL")
  await sql.end()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await Promise.all([pg.stop(), server.stop()])
  rmSync(folder, { recursive: true })
})

const start = () => startRelay(pg.url("tide_relay"), server.url("relay"))
const whole = async (): Promise<void> => {
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
}
const aside = async () => (await sql<Array<{ is: string }>>`select entity_id || ' ' || op || case when freed_by is null then '' else ' freed' end as is from tide.set_aside order by outbox_id`).map(({ is }) => is)
const rowsBut = async (...ids: ReadonlyArray<string>) =>
  (await sql<Array<{ row: string }>>`select project || ' ' || to_json(doc.*) as row from doc where not id = any (${ids as string[]}::text[])`).map(({ row }) => row).toSorted()

it("stands as an event in the place of the row, whose transaction stays whole, and holds what comes after it", async () => {
  await until(async () => (await relay.reasons())?.length === 0, { what: "the relay works", deadline: 20_000 })
  expect(relay.log()).toContain("the server takes messages of 524288 bytes")
  await sql`insert into doc values ('small', 'p', 'a'), ('large', 'p', repeat('x', 600000)), ('other', 'p', 'b')`
  await sql`update doc set body = 'now small' where id = 'large'`
  await sql`update doc set body = 'c' where id = 'other'`
  // The same id elsewhere is another address.
  await sql`insert into doc values ('huge', 'q', repeat('y', 700000))`
  await sql`delete from doc where id = 'huge'`
  await whole()
  expect(await aside()).toEqual(["large INSERT", "large UPDATE", "huge INSERT", "huge DELETE"])
  expect(await stateOf(log, "doc")).toEqual(await rowsBut("large"))
  const events = (await wholeLog(log)).filter((message) => message.address.entity === "_aside")
  expect(JSON.parse(events[0]!.body)).toMatchObject({ entity: "doc", id: "large", scope: "p", operation: "INSERT", reason: expect.stringMatching(/^its message has 60\d{4} bytes/) })
  expect(JSON.parse(events[1]!.body)).toMatchObject({ operation: "UPDATE", reason: "an earlier change of the same address is set aside" })
  expect(await relay.metric("tideline_relay_set_aside_total")).toBe(4)
  expect(await relay.metric("tideline_relay_addresses_set_aside")).toBe(2)
  expect(await relay.reasons()).toEqual([])
}, 60_000)

it("holds it in the next relay too, until it is freed: what is there then comes, and what comes after it", async () => {
  await relay.end("SIGKILL")
  await sql`update doc set body = 'smaller' where id = 'large'`
  relay = await start()
  await whole()
  expect((await aside()).filter((is) => is.startsWith("large"))).toEqual(["large INSERT", "large UPDATE", "large UPDATE"])
  // Before and after in one window.
  await relay.end("SIGTERM")
  await sql`update doc set body = 'still held' where id = 'large'`
  expect(await sql`select op from tide.free_aside('doc', 'large', 'p')`).toEqual([{ op: "READ" }])
  await sql`update doc set body = 'free' where id = 'large'`
  expect(await sql`select op from tide.free_aside('doc', 'huge', 'q')`).toEqual([{ op: "DELETE" }])
  await expect(sql`select tide.free_aside('doc', 'huge', 'q')`).rejects.toThrow("nothing is set aside at doc huge in q")
  relay = await start()
  await whole()
  expect((await aside()).filter((is) => is.startsWith("large"))).toEqual(["large INSERT freed", "large UPDATE freed", "large UPDATE freed", "large UPDATE freed"])
  expect(await stateOf(log, "doc")).toEqual(await rowsBut())
  const told = (await wholeLog(log)).filter((message) => message.address.id === "large").map((m) => `${m.operation} ${(JSON.parse(m.body) as { body: string }).body}`)
  expect(told).toEqual(["READ still held", "UPDATE free"])
  expect((await wholeLog(log)).filter((m) => m.address.id === "huge").map((m) => m.operation)).toEqual(["DELETE"])
  await until(async () => (await relay.metric("tideline_relay_addresses_set_aside")) === 0, { what: "nothing is held" })
}, 60_000)

it("is set aside again where it is still too large when it is freed", async () => {
  await sql`update doc set body = repeat('z', 600000) where id = 'large'`
  await whole()
  await sql`select tide.free_aside('doc', 'large', 'p')`
  await whole()
  expect((await aside()).slice(-2)).toEqual(["large UPDATE freed", "large READ"])
}, 60_000)
