/** Partitions of tracked tables that are made, attached, moved between, truncated, detached and dropped after their table was tracked. */
import { afterAll, beforeAll, expect, it } from "vitest"
import { fold, openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

let db: TestDatabase
const held = new Map<string, unknown>()
const run = (text: string) => db.sql.unsafe(text)
const outdated = async () => (await db.sql`select what from tide.outdated()`).map((r) => r["what"] as string)
const track = `select tide.track('app.log', 'log', 'place')`
const settle = async () => {
  const told = await db.events("log")
  fold(told, held)
  return told.map((e) => `${e.op} ${e.scope ?? "_"}/${e.entity_id}`)
}
/** What the log says is what the table holds. */
const expectEqual = async () => {
  await settle()
  const rows = (await run(`select to_json(t) as row from app.log t`)).map((r) => r["row"] as unknown)
  expect([...held.values()]).toEqual(expect.arrayContaining(rows))
  expect(held.size).toBe(rows.length)
}

beforeAll(async () => {
  db = await openDatabase()
  await run(`
    create schema app; create table app.log (day int, id int, place text, v int, primary key (day, id)) partition by range (day);
    create table app.log_1 partition of app.log for values from (1) to (2); ${track};
    create table app.log_2 partition of app.log for values from (2) to (3);
    create table app.log_3 (v int, id int not null, day int not null, place text);
    insert into app.log_3 values (0, 1, 3, 'p1'), (0, 2, 3, 'p2')`)
  await run(`
    alter table app.log attach partition app.log_3 for values from (3) to (4);
    create table app.log_4 partition of app.log for values from (4) to (5) partition by list (id);
    create table app.log_4_even partition of app.log_4 for values in (0, 2); create table app.log_4_odd partition of app.log_4 default;
    insert into app.log select d, n, 'p' || n % 3, 0 from generate_series(1, 4) d, generate_series(5, 8) n`)
  await settle()
})
afterAll(() => db.stop())

it("changes through parent, child and grandchild, and rows that move, are told", async () => {
  await run(`delete from app.log_3 where id in (1, 2)`)
  await expectEqual()
  await run(`insert into app.log values (3, 1, 'p1', 0); update app.log_3 set v = 1; update app.log_4_odd set v = 2; update only app.log_2 set place = 'p9'; insert into app.log_4 values (4, 2, 'p1', 0); delete from app.log_1 where id = 5;
    update app.log set day = day % 4 + 1, id = id + 50 where id in (6, 7); update app.log_4 set id = 0 where id = 2;
    with moved as (update app.log set day = 1, id = 108 where day = 2 and id = 8 returning *) update app.log l set v = -1 from moved m where l.day = 3`)
  await expectEqual()
})

it("a newer partition is named until it hears TRUNCATE by its own name, which a running relay sees to", async () => {
  expect(await outdated()).toEqual(["TRUNCATE of a newer partition would go unseen"])
  await db.connect("tide_relay")`select tide.make_partitions()`
  expect(await outdated()).toEqual(["rows that app.log_3 had before it was attached are not in the log (npx tideline backfill)"])
  await run(`${track}; select tide.backfill('app.log')`)
  expect(await outdated()).toEqual([])
  await run(`create table app.log_5 partition of app.log for values from (5) to (6); insert into app.log values (5, 1, 'p1', 0)`)
  expect(await outdated()).toEqual(["TRUNCATE of a newer partition would go unseen"])
  await run(track)
  expect(await outdated()).toEqual([])
  await run(`truncate app.log_3; truncate app.log_4_odd; truncate app.log_5`)
  await expectEqual()
  await run(`insert into app.log values (3, 1, 'p1', 0), (4, 1, 'p1', 0); truncate only app.log_3; truncate app.log_4`)
  await expectEqual()
})

it("a partition that is detached or dropped with a word takes its rows out of the log", async () => {
  await run(`insert into app.log select d, n, 'p1', 0 from generate_series(1, 5) d, generate_series(20, 21) n`)
  await settle()
  await run(`begin; select tide.forget_partition('app.log_1'); alter table app.log detach partition app.log_1; commit`)
  await expectEqual()
  await run(`begin; select tide.forget_partition('app.log_4'); drop table app.log_4; commit; begin; truncate app.log_5; select tide.forget_partition('app.log_5'); drop table app.log_5; commit`)
  await expectEqual()
  expect(await outdated()).toEqual([])
  await run(`truncate app.log_1; insert into app.log_1 values (1, 1, 'unheard', 1)`)
  expect(await settle()).toEqual([])
  expect(await refusal(db.sql`select tide.forget_partition('app.log')`)).toMatchObject({ message: expect.stringContaining("no partition of a tracked table"), hint: expect.stringContaining("untrack") })
})

it("one detached without a word is named, and tracking once more takes its rows out, but not what the table has again", async () => {
  await settle()
  await run(`alter table app.log detach partition app.log_2; create table app.log_2b partition of app.log for values from (2) to (3); select tide.make_partitions();
    insert into app.log select * from app.log_2 where id = 20`)
  expect(await outdated()).toEqual(["the rows of app.log_2, detached or dropped, are still in the log"])
  await run(track)
  expect(await outdated()).toEqual([])
  await expectEqual()
  expect(await db.sql`select tgrelid::regclass::text as t from pg_trigger where tgname = 'tide_truncate' and tgrelid = 'app.log_2'::regclass`).toEqual([])
})

it("one dropped without a word is named, by the name it had, until the log is rebuilt and the table tracked once more", async () => {
  await run(`drop table app.log_3`)
  expect(await outdated()).toEqual(["the rows of app.log_3, detached or dropped, are still in the log"])
  await run(track)
  expect(await outdated()).toEqual([])
})

it("untracking forgets the list, too", async () => {
  await run(`select tide.untrack('app.log')`)
  expect(await db.sql`select * from tide.partition`).toEqual([])
  expect(await db.sql`select tgname from pg_trigger where tgname like 'tide\\_%' and tgrelid::regclass::text like 'app.%'`).toEqual([])
})
