/** Backfill: every row once, in pages, and never older than an event that is there. */
import { createHash } from "node:crypto"
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
const page = async (after: Array<string> | null, size: number, known: Array<string> | null = null, sql = db.sql): Promise<Page> => {
  const [row] = await sql<Array<Page>>`
    select p.last_key, tide.write_page(t, ${after}::text[], p.last_key, ${known}::text[])::int as rows
    from tide.tracked t, tide.read_page(t, ${after}::text[], ${size}) p where t.relation = 'app.item'::regclass`
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
    expect(pages).toEqual([1000, 1000, 700, 0])
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
      read = page(["B", "900"], 10, null, reader)
      await waiting("the reader to wait for the first writer", 1)
      written = later`update app.item set v = v + 10 where place = 'a' and n in (3, 5)`.execute()
      await waiting("the later writer to wait for the reader", 2)
    })
    expect((await read!).rows).toBe(10)
    await written!
    const events = (await db.events("item")).filter((e) => e.entity_id === "a,5" || e.entity_id === "a,3")
    expect(events.map((e) => `${e.op} ${e.entity_id} ${String(e.after!["v"])}`)).toEqual(["UPDATE a,5 1", "READ a,3 0", "READ a,5 1", "UPDATE a,3 10", "UPDATE a,5 11"])
  })

  it("writes nothing for what is known to be in the log already", async () => {
    const digests = async () => (await db.sql<Array<{ digest: string }>>`
      select tide.digest(place || ',' || n, place, to_json(t)) as digest from app.item t where place = 'B'`).map((row) => row.digest)
    await db.events()
    const known = await digests()
    expect(known[0]).toBe(createHash("sha256").update('B,1\nB\n{"place":"B","n":1,"v":0}').digest("base64"))
    expect(await page(null, 900, known)).toMatchObject({ rows: 0, last_key: ["B", "900"] })
    await db.sql`update app.item set v = 1 where place = 'B' and n in (3, 7)`
    expect((await db.events("item")).map((e) => e.op)).toEqual(["UPDATE", "UPDATE"])
    expect((await page(null, 900, known)).rows).toBe(2)
    expect((await db.events("item")).map((e) => `${e.op} ${e.entity_id}`)).toEqual(["READ B,3", "READ B,7"])
  })

  it("knows which addresses are no row's, whatever they look like", async () => {
    const missing = async (addresses: ReadonlyArray<[string | null, string]>) => (await db.sql<Array<{ scope: string | null; id: string }>>`
      select m.scope, m.id from tide.missing(tide.source('item'), ${addresses.map(([scope]) => scope)}::text[], ${addresses.map(([, id]) => id)}::text[]) m`)
      .map(({ scope, id }) => [scope, id])
    expect(await missing([["B", "B,1"], ["c,d", "c\\,d,900"], ["a", "a,5"]])).toEqual([])
    // Gone, in another scope, in none, and what can be no key.
    const not: ReadonlyArray<[string | null, string]> = [["B", "B,901"], ["a", "B,1"], [null, "B,1"], ["B", "B"], ["B", "B,1,2"]]
    expect(await missing([["B", "B,2"], ...not])).toEqual(not)
    expect((await missing([["B", "B,2"], ["B", "B,one"], ["a", "a,0"]])).toSorted()).toEqual([["B", "B,one"], ["a", "a,0"]].toSorted())
  })

  it("is one step for the relay however often it is asked for, and begins again when that is done", async () => {
    const steps = () => db.sql`select kind, what, rate, after_key, written::int, done_at is not null as done from tide.rebuild order by place`
    const [{ step }] = await db.sql<[{ step: string }]>`select tide.request_backfill('app.item', 10) as step`
    const relay = db.connect("tide_relay")
    const [read] = await relay<[{ last_key: Array<string>; ids: Array<string> }]>`select * from tide.rebuild_read(${step}, 100)`
    expect(read.ids).toHaveLength(100)
    await relay`select tide.rebuild_rows(${step}, 0, ${read.last_key}::text[], 100, '{}')`
    await db.sql`select tide.request_backfill('app.item', 20)`
    expect(await steps()).toEqual([{ kind: "rows", what: "item", rate: 20, after_key: read.last_key, written: 100, done: false }])
    // Of two relays that believe to be at it, one is wrong.
    expect(await refusal(relay`select tide.rebuild_rows(${step}, 0, ${read.last_key}::text[], 100, '{}')`)).toMatchObject({ code: "40001" })
    await relay`select tide.rebuild_rows(${step}, 100, null, 0, '{}')`
    expect(await steps()).toMatchObject([{ done: true }])
    await db.sql`select tide.request_backfill('app.item')`
    expect(await steps()).toEqual([{ kind: "rows", what: "item", rate: null, after_key: null, written: 0, done: false }])
    await db.sql`select tide.request_rebuild('a test')`
    expect((await steps()).map((row) => `${row["kind"]} ${row["what"]}`)).toEqual(["gone _acl", "rows _grant", "rows _member", "rows _sign_out", "gone _schema", "rows _entity", "gone *", "rows item"])
    expect(await refusal(relay`select tide.request_rebuild('the relay asks through open_epoch alone')`)).toMatchObject({ code: "42501" })
    await db.sql`delete from tide.rebuild`
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
    expect(await refusal(db.sql`select tide.request_backfill('app.other')`)).toMatchObject({ message: expect.stringContaining("app.other is not tracked") })
  })
})
