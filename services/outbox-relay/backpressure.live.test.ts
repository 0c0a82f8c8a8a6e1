/** Where JetStream takes nothing for a while: the relay waits, says why, once, and goes on by itself; nothing is lost, nothing doubled. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Scope } from "effect"
import postgres from "postgres"
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest"
import type { Sql } from "#db/postgres.ts"
import { connectNats } from "#nats/connection.ts"
import type { Nats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import { CHANGES } from "#nats/streams.ts"
import { startNatsCluster } from "#test/support/cluster.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import { caughtUp, compareWithOutbox, startRelay } from "#test/support/relay.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"

const NATS_CONF = readFileSync(fileURLToPath(new URL("../../nats/nats.conf", import.meta.url)), "utf8")

let pg: TestPostgres
let sql: Sql
let folder: string
/** Ends what a test began, last first. */
const ends: Array<() => Promise<unknown>> = []

beforeAll(async () => {
  pg = await migratedPostgres()
  sql = postgres(pg.url(), { max: 2, onnotice: () => {} })
  folder = mkdtempSync(join(tmpdir(), "tideline-test-conf-"))
  await sql`create table public.item (id int primary key, pad text)`
  await sql`select tide.track('public.item', entity => 'item')`
}, 60_000)
afterAll(async () => {
  await sql.end()
  await pg.stop()
  rmSync(folder, { recursive: true })
})
beforeEach(() => sql.unsafe("truncate tide.outbox; truncate tide.relay_state; alter table public.item disable trigger all; delete from public.item; alter table public.item enable trigger all"))
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** nats.conf with this in place of that. */
const confWith = (name: string, from: string, to: string): string => {
  expect(NATS_CONF).toContain(from)
  const path = join(folder, name)
  writeFileSync(path, NATS_CONF.replace(from, to))
  return path
}
const connect = async (url: string): Promise<Nats> => {
  const scope = Scope.makeUnsafe()
  ends.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return Effect.runPromise(Scope.provide(connectNats(url, "test"), scope))
}
const start = async (natsUrl: string, settings: Record<string, string> = {}): Promise<RelayProcess> => {
  const relay = await startRelay(pg.url("tide_relay"), natsUrl, settings)
  ends.push(() => relay.end("SIGKILL"))
  return relay
}
let next = 0
/** Transactions of so many rows of 500 bytes. */
const write = async (transactions: number, rows: number): Promise<void> => {
  for (let i = 0; i < transactions; i++) await sql`insert into item select ${next}::int + g, repeat('x', 450) from generate_series(1, ${rows}::int) g`.then(() => (next += rows))
}
const says = (relay: RelayProcess, what: RegExp, deadline = 20_000) =>
  until(async () => (await relay.reasons())?.some((reason) => what.test(reason)), { what: `/readyz says ${String(what)}`, deadline })
const times = (relay: RelayProcess, what: RegExp) => relay.log().split("\n").filter((line) => what.test(line)).length
const residentKb = (relay: RelayProcess) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${relay.pid}/status`, "utf8"))![1])
const whole = async (nats: Nats): Promise<void> => {
  const log = jetStreamLog(nats)
  await caughtUp(sql, log)
  expect(await compareWithOutbox(sql, log)).toEqual([])
}

it("waits while CHANGES is full, with its memory bounded, and goes on when there is room", async () => {
  const server = await startNats()
  ends.push(server.stop)
  const relay = await start(server.url("relay"), { TIDELINE_CHANGES_BYTES: "2000000" })
  await write(3, 500)
  const full = /CHANGES is full: maximum bytes exceeded/
  await write(4, 1_000)
  await says(relay, full)
  const before = residentKb(relay)
  await until(async () => (await relay.metric("tideline_changes_bytes"))! > 1_600_000, { what: "a metric tells that it is nearly full" })
  expect(await relay.metric("tideline_changes_limit_bytes")).toBe(2_000_000)
  expect(await relay.metric("tideline_outbox_bytes")).toBeGreaterThan(2_000_000)
  await until(() => relay.log().includes("CHANGES is nearly full"), { what: "so does the log" })
  await write(10, 4_000)
  const stops = (await relay.metric("tideline_relay_stops_total"))!
  await until(async () => (await relay.metric("tideline_relay_stops_total"))! >= stops + 2, { what: "it has tried again" })
  expect(residentKb(relay) - before).toBeLessThan(64 * 1024)
  expect(times(relay, full)).toBe(1)
  const nats = await connect(server.url())
  const { config } = await nats.jetstream.streams.info(CHANGES)
  await nats.jetstream.streams.update(CHANGES, { ...config, max_bytes: -1 })
  await whole(nats)
  expect(await relay.reasons()).toEqual([])
}, 60_000)

/**
 * A single nats-server checks these limits for each message while it stores a batch, and gives up in the middle without an answer: what it
 * stored has no cursor. (Of CHANGES' own bound it knows beforehand.) Started again it may store the rest itself, or the relay goes on after the part.
 */
const limits = [
  ["the account's limit", "jetstream: enabled", "jetstream: { max_file: 3MB }", (server: TestNats) => process.kill(server.pid(), "SIGHUP")],
  ["the server's store", "sync_interval: always", "sync_interval: always\n  max_file_store: 3MB", (server: TestNats) => server.restart()],
] as const
it.each(limits)("goes on in the middle of a batch of which %s let a part in", async (_, from, to, again) => {
  const server = await startNats({ config: confWith("limited.conf", from, to) })
  ends.push(server.stop)
  const relay = await start(server.url("relay"))
  const nats = await connect(server.url())
  await write(8, 700)
  await says(relay, /JetStream has no room/, 40_000)
  confWith("limited.conf", from, from)
  await again(server)
  await whole(nats)
}, 90_000)

it("waits for a server that has stopped answering, and goes on", async () => {
  const server = await startNats()
  ends.push(server.stop)
  const relay = await start(server.url("relay"))
  await write(2, 1_000)
  await until(async () => (await relay.reasons())?.length === 0, { what: "the relay works", deadline: 20_000 })
  server.pause()
  await write(4, 1_000)
  await says(relay, /timeout|lost/)
  server.resume()
  await whole(await connect(server.url()))
}, 60_000)

it("waits for a majority of the cluster, and goes on when there is one", async () => {
  const cluster = await startNatsCluster(3)
  ends.push(cluster.stop)
  const relay = await start(cluster.url("relay"), { TIDELINE_REPLICAS: "3" })
  await write(2, 1_000)
  const nats = await connect(cluster.servers[0]!.url())
  await whole(nats)
  expect((await nats.jetstream.streams.info(CHANGES)).config.num_replicas).toBe(3)
  await Promise.all([cluster.servers[1]!.kill(), cluster.servers[2]!.kill()])
  await write(3, 700)
  await says(relay, /cluster|leader|unavailable|timeout/, 40_000)
  const log = /cannot store anything now|no server answers for the stream/
  await says(relay, log)
  await Promise.all([cluster.servers[1]!.restart(), cluster.servers[2]!.restart()])
  await whole(nats)
}, 90_000)

it("names the permission that it lacks", async () => {
  const server = await startNats({ config: confWith("denied.conf", '"chg.*.*.*",\n', "") })
  ends.push(server.stop)
  const relay = await start(server.url("relay"))
  await write(1, 1)
  await says(relay, /does not let this user publish chg\./)
}, 30_000)
