/** What the relay relies on: the wake-up handshake, and partitions that come and go. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openDatabase } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { until } from "#test/support/until.ts"

let db: TestDatabase
beforeAll(async () => {
  db = await openDatabase()
  await db.sql.unsafe(`create schema app; create table app.item (id int primary key, v int); select tide.track('app.item', 'item');
    create table app.part (id int primary key, v int) partition by range (id); create table app.part_1 partition of app.part for values from (0) to (100); select tide.track('app.part', 'part')`)
})
afterAll(() => db.stop())

describe("waking the relay", () => {
  it("is a notification only while a relay is there and does not hold the wake lock", async () => {
    const relay = db.connect("tide_relay")
    const ear = db.connect("tide_relay")
    let heard = 0
    // A marker of our own comes after whatever was notified before it.
    let marks = 0
    await ear.listen("tide_wake", (payload) => void (payload === "" ? heard++ : marks++))
    const count = async (write: () => Promise<unknown>): Promise<number> => {
      heard = 0
      const before = marks
      await write()
      await db.sql`select pg_notify('tide_wake', 'mark')`
      await until(() => marks > before, { what: "the marker" })
      return heard
    }
    expect(await count(() => db.sql`insert into app.item values (0, 1)`)).toBe(0)
    await relay`select pg_advisory_lock(tide.present_key()), pg_advisory_lock(tide.wake_key())`
    expect(await count(() => db.sql`insert into app.item values (1, 1)`)).toBe(0)
    expect(await count(() => db.sql`insert into app.part values (1, 1)`)).toBe(0)
    await relay`select pg_advisory_unlock(tide.wake_key())`
    expect(await count(() => db.sql`insert into app.item values (2, 1)`)).toBe(1)
    expect(await count(() => db.sql`update app.item set v = v + 1`)).toBe(1)
    expect(await count(() => db.sql`insert into app.part_1 values (2, 1)`)).toBe(1)
    expect(await count(() => db.sql`select authz.grant_access('user:ada', level => 'VIEW')`)).toBe(1)
    expect(await count(() => db.sql`truncate app.item`)).toBe(1)
    expect(await count(() => db.sql`update app.item set v = 1`)).toBe(0)
    expect(await count(() => db.sql.begin(async (tx) => { await tx`insert into app.item values (3, 1)`; throw new Error("undone") }).catch(() => undefined))).toBe(0)
  })

  it("leaves the lock to the relay while a writer's transaction is open", async () => {
    const writer = db.connect()
    await writer.begin(async (tx) => {
      await tx`insert into app.item values (4, 1)`
      expect(await db.sql`select pg_try_advisory_lock(tide.wake_key()) as got`).toEqual([{ got: true }])
      await db.sql`select pg_advisory_unlock(tide.wake_key())`
    })
  })
})

describe("partitions", () => {
  const names = async () => (await db.sql`select relname from pg_class c join pg_inherits i on i.inhrelid = c.oid where inhparent = 'tide.outbox'::regclass order by 1`).map((r) => r["relname"] as string)
  const bare = (day: Date) => `outbox_${day.toISOString().slice(0, 10).replaceAll("-", "")}`
  const inDays = (days: number) => bare(new Date(Date.now() + days * 86_400_000))

  it("are made ahead, once, by several at once", async () => {
    const relays = [db.connect("tide_relay"), db.connect("tide_relay"), db.connect("tide_relay")]
    const made = await Promise.all(relays.map((sql) => sql`select tide.make_partitions(6) as made`))
    expect(made.map(([row]) => row!["made"] as number).sort()).toEqual([0, 0, 3])
    expect(await names()).toEqual(expect.arrayContaining([0, 1, 2, 3, 4, 5, 6].map(inDays)))
    await db.sql`insert into app.item values (100, 1)`
    expect(await db.sql.unsafe(`select entity_id from tide.${inDays(0)} where entity_id = '100'`)).toHaveLength(1)
  })

  it("do not fail where a day began in the default partition", async () => {
    await db.sql`insert into tide.outbox (entity, entity_id, op, at) values ('item', 'late', 'DELETE', now() + interval '8 days')`
    expect(await db.sql`select tide.make_partitions(9) as made`).toEqual([{ made: 2 }])
    expect(await names()).not.toContain(inDays(8))
    expect(await db.sql`select entity_id from tide.outbox_default`).toEqual([{ entity_id: "late" }])
  })

  const day = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)
  /** A partition of a day that is over, with one row. */
  const old = (days: number) => db.sql.unsafe(`
    create table tide.${inDays(-days)} partition of tide.outbox for values from ('${day(-days)} 00:00+00') to ('${day(1 - days)} 00:00+00');
    insert into tide.outbox (entity, entity_id, op, at) values ('item', 'old', 'DELETE', '${day(-days)} 12:00+00')`)
  const snapshot = async (): Promise<string> => (await db.sql`select pg_current_snapshot()::text as now`)[0]!["now"] as string
  /** As a relay that knows this to be published calls it; what the last call noted counts as old enough. */
  const drop = async (days: number, published: string) =>
    (await db.sql`select tide.drop_partitions(make_interval(days => ${days}), ${published}::pg_snapshot, '0') as name`).map((r) => r["name"] as string)
  const dropped = async () => (await db.sql`select dropped_xid::text as xid from tide.relay_state`)[0]!["xid"] as string | null

  it("go when they are old and published, and were when the last call noted it, and not before", async () => {
    await old(12)
    const twelve = await snapshot()
    await old(11)
    const eleven = await snapshot()
    // Without a relay's memory nothing is known to be published.
    expect(await drop(5, eleven)).toEqual([])
    await db.sql`select tide.save_relay_state('1-a', 'now', 1)`
    expect([await drop(5, twelve), await dropped()]).toEqual([[], null])
    expect(await drop(12, twelve)).toEqual([])
    expect(await drop(5, eleven)).toEqual([inDays(-12)])
    const [{ xid }] = (await db.sql`select xid::text from tide.outbox where at < now() - interval '10 days'`) as unknown as [{ xid: string }]
    expect(Number(await dropped())).toBeLessThan(Number(xid))
    // A stream that lost its end says less than was noted: nothing of what it lost goes.
    expect(await drop(5, twelve)).toEqual([])
    expect(await drop(5, eleven)).toEqual([])
    const wait = await db.sql`select tide.drop_partitions('5 days', ${eleven}::pg_snapshot, '1 hour') as name`
    expect(wait).toEqual([])
    expect(await drop(5, eleven)).toEqual([inDays(-11)])
    expect(await dropped()).toBe(xid)
    expect(await names()).toContain("outbox_default")
  })

  it("stay while a transaction is open that wrote there, and go later", async () => {
    await old(10)
    const before = await snapshot()
    await drop(5, before)
    const writer = db.connect()
    await writer`begin`
    await writer`insert into tide.outbox (entity, entity_id, op, at) values ('item', 'open', 'DELETE', ${`${day(-10)} 13:00+00`})`
    expect(await drop(5, await snapshot())).toEqual([])
    await writer`commit`
    // Committed, and not seen by what was published when it was noted.
    expect(await drop(5, await snapshot())).toEqual([])
    expect(await drop(5, await snapshot())).toEqual([inDays(-10)])
  })

  it("rows of the default partition go one by one, once they are old and published", async () => {
    await db.sql`insert into tide.outbox_default (entity, entity_id, op, at) values ('item', 'older', 'DELETE', now() - interval '9 days')`
    const now = await snapshot()
    await drop(5, now)
    await drop(5, now)
    expect(await db.sql`select entity_id from tide.outbox_default`).toEqual([{ entity_id: "late" }])
  })
})
