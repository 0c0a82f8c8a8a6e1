/** Backfill: every row once, in pages, and never older than an event that is there. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { fold, openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { until } from "#test/support/until.ts"

let db: TestDatabase
beforeAll(async () => {
  db = await openDatabase()
  await db.sql.unsafe(`
    create schema app;
    create table app.item (place text, n int, v int, primary key (place, n));
    insert into app.item select p, n, 0 from unnest(array['a', 'B', 'c,d']) p, generate_series(1, 900) n;
    select tide.track('app.item', 'item', 'place')`)
  await db.events()
})
afterAll(() => db.stop())

interface Page { readonly rows: number; readonly last_key: Array<string> | null }
const page = async (after: Array<string> | null, size: number, sql = db.sql): Promise<Page> => {
  const [row] = await sql<Array<Page>>`select * from tide.backfill_page('app.item', ${after}::text[], ${size})`
  return row!
}

describe("backfill", () => {
  it("reads every row once, page by page, and ends", async () => {
    let after: Array<string> | null = null
    const pages: Array<number> = []
    do {
      const { rows, last_key }: Page = await page(after, 1000)
      pages.push(rows)
      after = last_key
    } while (after !== null)
    expect(pages).toEqual([1000, 1000, 700])
    const events = await db.events("item")
    expect(new Set(events.map((e) => e.op))).toEqual(new Set(["READ"]))
    expect(new Set(events.map((e) => e.entity_id)).size).toBe(2700)
    expect(events[0]).toMatchObject({ scope: "B", entity_id: "B,1", after: { place: "B", n: 1, v: 0 }, before: null })
  })

  it("ends at once where the last page is full or there is nothing", async () => {
    const { last_key } = await page(["c,d", "890"], 10)
    expect(last_key).toEqual(["c,d", "900"])
    expect(await page(last_key, 10)).toEqual({ rows: 0, last_key: null })
  })

  it("does all of it in one call as well", async () => {
    await db.events()
    expect(await db.sql`select tide.backfill('app.item') as rows`).toEqual([{ rows: "2700" }])
    expect(await db.events("item")).toHaveLength(2700)
  })

  it("takes what a writer who came first has left, and makes one who comes later wait", async () => {
    const [first, reader, later] = [db.connect(), db.connect(), db.connect()]
    const waiting = (what: string, count: number) =>
      until(async () => (await db.sql`select from pg_stat_activity where wait_event_type = 'Lock'`).length === count, { what })
    let read: Promise<Page>
    let written: Promise<unknown>
    await first.begin(async (tx) => {
      await tx`update app.item set v = 1 where place = 'a' and n = 5`
      read = page(["B", "900"], 10, reader)
      await waiting("the reader to wait for the first writer", 1)
      written = later`update app.item set v = v + 10 where place = 'a' and n in (3, 5)`.execute()
      await waiting("the later writer to wait for the reader", 2)
    })
    expect((await read!).rows).toBe(10)
    await written!
    const events = (await db.events("item")).filter((e) => e.entity_id === "a,5" || e.entity_id === "a,3")
    expect(events.map((e) => `${e.op} ${e.entity_id} ${String(e.after!["v"])}`)).toEqual(["UPDATE a,5 1", "READ a,3 0", "READ a,5 1", "UPDATE a,3 10", "UPDATE a,5 11"])
  })

  it("under writers leaves a fold of the outbox that equals the table", async () => {
    await db.sql`delete from app.item where n > 60`
    const held = fold(await db.events("item"))
    const writers = [db.connect(), db.connect()]
    let reading = true
    const writing = writers.map(async (sql, w) => {
      for (let i = 0; reading; i++) {
        const n = 1 + ((i * 7 + w * 13) % 60)
        await sql`update app.item set v = v + 1 where n = ${n} and place = ${["a", "B", "c,d"][i % 3]!}`
        if (i % 5 === 0) await sql`update app.item set place = place || 'x' where n = ${n} and place = 'a'`
        if (i % 7 === 0) await sql`delete from app.item where n = ${n} and place like 'ax%'`
      }
    })
    for (let round = 0; round < 5; round++) {
      let after: Array<string> | null = null
      do after = (await page(after, 20)).last_key
      while (after !== null)
    }
    reading = false
    await Promise.all(writing)
    fold(await db.events("item"), held)
    const rows = await db.sql<Array<{ row: unknown }>>`select to_json(t) as row from app.item t`
    const sorted = (values: Iterable<unknown>) => Array.from(values, (value) => JSON.stringify(value)).sort()
    expect(sorted(held.values())).toEqual(sorted(rows.map(({ row }) => row)))
  })

  it("refuses what it cannot do well", async () => {
    await db.sql`create table app.other (id int primary key)`
    expect(await refusal(db.sql`select tide.backfill('app.other')`)).toMatchObject({ message: expect.stringContaining("app.other is not tracked"), hint: expect.stringContaining("tide.track") })
    expect(await refusal(db.sql.begin("isolation level repeatable read", (tx) => tx`select tide.backfill('app.item')`))).toMatchObject({ hint: expect.stringContaining("read committed") })
    expect(await refusal(page(null, 0))).toMatchObject({ message: expect.stringContaining("one row at least") })
  })
})
