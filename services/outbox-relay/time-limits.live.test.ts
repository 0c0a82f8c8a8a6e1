/** Time limits that an operator sets for the relay's role, and sessions that are ended: none of them stops the relay, or costs it its lease. */
import { expect, it } from "vitest"
import { caughtUp, compareWithOutbox } from "#test/support/relay.ts"
import { relayStand } from "#test/support/relay-stand.ts"
import { until } from "#test/support/until.ts"

const stand = relayStand()

const LIMITS = {
  statement_timeout: "300ms",
  lock_timeout: "100ms",
  idle_session_timeout: "500ms",
  idle_in_transaction_session_timeout: "50ms",
  transaction_timeout: "400ms",
}

const holder = async (): Promise<unknown> => (await stand.sql`select pid from pg_locks where locktype = 'advisory' and objid = tide.lease_key()::int::oid and granted`)[0]?.["pid"]

it("publishes a large window slowly, sleeps and wakes under all of them, with the lease it had", async () => {
  const known = await stand.sql<Array<{ name: keyof typeof LIMITS }>>`select name from pg_settings where name = any (${Object.keys(LIMITS)})`
  for (const { name } of known) await stand.sql.unsafe(`alter role tide_relay set ${name} = '${LIMITS[name]}'`)
  const relay = await stand.start()
  const lease = await holder()
  const from = (await stand.log.head()).last
  await stand.sql`insert into item select g, 'p', 0 from generate_series(1, 8000) g`
  await until(async () => (await stand.log.head()).last > from, { what: "a part is published", every: 1 })
  // The rest takes longer than any of the limits.
  stand.server.pause()
  await longer()
  stand.server.resume()
  await caughtUp(stand.sql, stand.log)
  await until(async () => (await relay.metric("tideline_relay_asleep")) === 1, { what: "it sleeps" })
  await longer()
  await stand.sql`update item set v = v + 1 where id = 1`
  await caughtUp(stand.sql, stand.log, 5_000)
  expect(await compareWithOutbox(stand.sql, stand.log)).toEqual([])
  expect(await holder()).toBe(lease)
  expect(await relay.metric("tideline_relay_stops_total")).toBe(0)
  await stand.sql`alter role tide_relay reset all`
}, 60_000)

/** Longer than any of the limits. */
const longer = async (): Promise<void> => {
  const began = performance.now()
  await until(() => performance.now() - began > 700, { what: "time passes" })
}

it("goes on in the middle of a window where its session is ended", async () => {
  const relay = await stand.start()
  for (const name of ["tideline relay", "tideline relay lease"]) {
    const from = (await stand.log.head()).last
    await stand.sql`insert into item select g, ${name}, 0 from generate_series(1, 8000) g on conflict (id) do update set v = item.v + 1, project = excluded.project`
    await until(async () => (await stand.log.head()).last > from, { what: "a part is published", every: 1 })
    expect(await stand.sql`select pg_terminate_backend(pid) as done from pg_stat_activity where application_name = ${name}`).toContainEqual({ done: true })
    await caughtUp(stand.sql, stand.log)
  }
  expect(await compareWithOutbox(stand.sql, stand.log)).toEqual([])
  // It is the same process.
  expect(await relay.end("SIGTERM")).toBe(0)
}, 60_000)
