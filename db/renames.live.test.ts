/** Tracked tables that are renamed, moved, changed in their key, or dropped: what goes on by itself, and what is named. */
import { afterAll, beforeEach, expect, it } from "vitest"
import { openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

const opened = openDatabase()
let db: TestDatabase
const run = (text: string) => db.sql.unsafe(text)
const outdated = async () => (await db.sql`select what from tide.outdated()`).map((r) => r["what"] as string)
const story = async () => (await db.events("item")).map((e) => `${e.op} ${e.scope ?? "_"}/${e.entity_id}`)

beforeEach(async () => {
  db = await opened
  await run(`drop schema if exists app, other cascade; select tide.untrack_entity(entity) from tide.tracked; create schema app; create schema other;
    create table app.item (id int primary key, place text, v int); select tide.track('app.item', 'item', 'place'); insert into app.item select n, 'p', n from generate_series(1, 6) n`)
  await db.events()
})
afterAll(async () => (await opened).stop())

it.each([
  ["renamed", "alter table app.item rename to thing", "app.thing"],
  ["moved to another schema", "alter table app.item set schema other", "other.item"],
  ["replaced by another table of its name", "alter table app.item rename to thing; create table app.item (id int primary key, place text, v int)", "app.thing"],
])("a table that was %s is told as before, and named until it is tracked once more", async (_, change, now) => {
  const writer = db.connect()
  await writer`update app.item set v = 0 where id = 1`
  await run(change)
  await writer.unsafe(`insert into ${now} values (7, 'p', 7); update ${now} set v = 1 where id = 2; update ${now} set v = 2 where id in (2, 3); update ${now} set id = id + 10, place = 'q' where id in (4, 5); delete from ${now} where id = 3`)
  expect(await story()).toEqual(expect.arrayContaining([
    "UPDATE p/1", "INSERT p/7", "UPDATE p/2", "UPDATE p/2", "UPDATE p/3", "DELETE p/4", "DELETE p/5", "INSERT q/14", "INSERT q/15", "DELETE p/3"]))
  expect(await outdated()).toEqual(["its key or its name changed"])
  expect(await refusal(run(`truncate ${now}`))).toMatchObject({ code: "55000", message: `app.item is called ${now} since it was tracked`, hint: expect.stringContaining("Track it once more") })
  await run(`select tide.track('${now}', 'item', 'place'); truncate ${now}`)
  expect((await story()).length).toBe(6)
  expect(await outdated()).toEqual([])
})

it("a renamed key or scope column refuses writes until the table is tracked once more, which keeps the addresses", async () => {
  await run(`alter table app.item rename column id to nr`)
  expect(await refusal(run(`update app.item set v = 1 where nr = 1`))).toMatchObject({ code: "42703" })
  await run(`begin; alter table app.item rename column place to spot; select tide.track('app.item', 'item', 'spot'); commit; update app.item set v = 1 where nr = 1`)
  expect(await story()).toEqual(["UPDATE p/1"])
  expect(await outdated()).toEqual([])
})

it("a dropped table is named, and untracked by its code", async () => {
  await run(`drop table app.item`)
  expect(await outdated()).toEqual(["the table was dropped"])
  await run(`select tide.untrack_entity('item'); create table app.item (id int primary key, place text, v int); select tide.track('app.item', 'item'); insert into app.item values (1, 'p', 1)`)
  expect(await story()).toEqual(["INSERT _/1"])
})
