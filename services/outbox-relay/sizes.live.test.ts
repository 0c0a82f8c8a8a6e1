/** Transactions of every size, short and long, beside each other: whole, in order, and the relay does not grow with them. */
import { setTimeout as pause } from "node:timers/promises"
import postgres from "postgres"
import { expect, it } from "vitest"
import { caughtUp, compareWithOutbox } from "#test/support/relay.ts"
import { relayStand } from "#test/support/relay-stand.ts"
import { until } from "#test/support/until.ts"
import { beginning } from "./cursor.ts"
import { lookAfter, streamWindow } from "./window.ts"

const stand = relayStand()

/** Small transactions, one after the other, until told to stop. */
const startWriter = (first: number): (() => Promise<void>) => {
  const db = postgres(stand.pg.url(), { max: 1, onnotice: () => {} })
  let stopped = false
  const running = (async () => {
    for (let n = 0; !stopped; n++) {
      await db`insert into item values (${first + (n % 50)}, ${`p${n % 3}`}, ${n}) on conflict (id) do update set project = excluded.project, v = excluded.v`
      await pause(3)
    }
    await db.end()
  })()
  return () => {
    stopped = true
    return running
  }
}

it("publishes transactions of 1, 2, 999, 1,000 and 1,001 rows whole, among small ones and beside one that is open all the while", async () => {
  await stand.start()
  const open = postgres(stand.pg.url(), { max: 1, onnotice: () => {} })
  await open`begin`
  await open`insert into item values (-1, 'p', 1)`
  const stops = [startWriter(1), startWriter(101)]
  let base = 1_000
  for (const rows of [1, 2, 999, 1_000, 1_001, 1_001, 1_000, 999, 2, 1]) {
    await stand.sql`insert into item select g, 'p', ${rows} from generate_series(${base}::int, ${base + rows - 1}::int) g`
    base += rows
  }
  await Promise.all(stops.map((stop) => stop()))
  // Nothing waits for the one that is open.
  await until(async () => (await stand.log.head()).last >= base - 1_000, { what: "the others are published" })
  await open`insert into item values (-2, 'p', 1)`
  await open`commit`
  await open.end()
  await caughtUp(stand.sql, stand.log)
  expect(await compareWithOutbox(stand.sql, stand.log)).toEqual([])
}, 60_000)

it("publishes 200,000 rows of one transaction in consecutive pieces while small ones go on, with a heap that does not hold them", async () => {
  // As objects they are some hundred megabytes: a relay that held them would end here.
  const relay = await stand.start({ NODE_OPTIONS: "--max-old-space-size=96" })
  const stop = startWriter(1)
  const { last } = await stand.log.head()
  const rows = 200_000
  const xid = await stand.sql.begin(async (tx) => {
    await tx`insert into item select g, 'large', g from generate_series(1000000, ${999_999 + rows}::int) g`
    return (await tx<[{ xid: string }]>`select pg_current_xact_id()::text as xid`)[0].xid
  })
  const places: Array<readonly [seq: number, position: number, count: number]> = []
  const following = await stand.log.follow({
    from: last + 1,
    message: ({ seq, transaction }) => {
      if (transaction.xid === xid) places.push([seq, transaction.position, transaction.count])
    },
    event: () => {},
  })
  await until(() => places.length >= rows, { what: "all of it is published", deadline: 90_000, every: 20 })
  await stop()
  await following.stop()
  const first = places[0]![0]
  expect(places.findIndex(([seq, position, count], i) => seq !== first + i || position !== i + 1 || count !== rows)).toBe(-1)
  expect(places).toHaveLength(rows)
  expect(await relay.end("SIGTERM")).toBe(0)
}, 120_000)

it("reads rows of two megabytes one by one, and publishes them among small ones", async () => {
  await stand.sql`create table public.page (id int primary key, body text)`
  await stand.sql`select tide.track('public.page', entity => 'page')`
  const [before] = await stand.sql<[{ window: string }]>`select pg_current_snapshot()::text as window`
  // Compressed, as they are stored, they are small.
  await stand.sql`insert into page select g, case when g % 4 = 0 then repeat(md5(g::text), 65536) else 'small' end from generate_series(1, 12) g`
  const reader = postgres(stand.pg.url("tide_relay"), { max: 1, onnotice: () => {} })
  const { window, rows } = await lookAfter(reader, before.window)
  expect(rows).toBe(null)
  const read: Array<ReadonlyArray<number>> = []
  const whole = await streamWindow(reader, { ...beginning("1-a", "s"), last: before.window, window }, (page) => {
    read.push(page.map((row) => row.after!.length))
    return Promise.resolve(true)
  })
  expect(whole).toBe(true)
  const small = '{"id":1,"body":"small"}'.length
  const large = (id: number): number => `{"id":${id},"body":""}`.length + 65_536 * 32
  expect(read).toEqual([[small, small, small], [large(4)], [small, small, small], [large(8)], [small, small + 1, small + 1], [large(12)]])
  await reader.end()
  const relay = await stand.start()
  await caughtUp(stand.sql, stand.log)
  expect(await compareWithOutbox(stand.sql, stand.log)).toEqual([])
  expect(await relay.end("SIGTERM")).toBe(0)
}, 60_000)
