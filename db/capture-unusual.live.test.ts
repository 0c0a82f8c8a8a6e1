/** Changes that come by unusual ways: statements inside statements, sessions that silence triggers, columns that change, tables that hide rows. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { fold, openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

let db: TestDatabase
beforeAll(async () => {
  db = await openDatabase()
  await db.sql`create schema app`
})
afterAll(() => db.stop())

const run = (text: string) => db.sql.unsafe(text)
const rowsOf = async (table: string): Promise<Array<unknown>> => (await run(`select to_json(t) as row from ${table} t`)).map((r) => r["row"] as unknown)
/** What a reader of everything told so far holds is what the table holds. */
const expectEqual = async (entity: string, held: Map<string, unknown>): Promise<void> => {
  fold(await db.events(entity), held)
  const rows = await rowsOf(`app.${entity}`)
  expect([...held.values()]).toEqual(expect.arrayContaining(rows))
  expect(held.size).toBe(rows.length)
}

describe("a function that changes rows of the table whose statement calls it", () => {
  const held = new Map<string, unknown>()
  beforeAll(() => run(`
    create table app.bill (id int primary key, total int default 0, parent int);
    create function app.add(n int, what int) returns int language plpgsql as $$ begin update app.bill set total = total + what where id = n; return n; end $$;
    create function app.quiet(n int) returns int language sql volatile as $$ update app.bill set total = total + 1 where id = n returning id $$;
    create function app.parents(n int) returns int language plpgsql as $$ begin
      insert into app.bill values (n + 1000, 1) on conflict (id) do update set total = app.bill.total + 1; perform app.quiet(n); return n + 1000; end $$;
    create function app.remove(n int) returns int language plpgsql as $$ begin delete from app.bill where id = n; return n; end $$;
    select tide.track('app.bill', 'bill');`))

  it.each([
    ["RETURNING", "insert into app.bill values (1), (2) returning app.add(id, 7)"],
    ["RETURNING of an UPDATE", "update app.bill set total = 0 returning app.add(id, 1)"],
    ["a SELECT after an INSERT in a WITH", "with made as (insert into app.bill values (3) returning id) select app.add(id, 5) from made"],
    ["a function in SQL", "insert into app.bill values (4), (5) returning app.quiet(id)"],
    ["several rows that share one", "insert into app.bill select n, 0, app.parents(7) from generate_series(10, 13) n"],
    ["one that deletes what was inserted", "insert into app.bill values (20), (21) returning app.remove(id)"],
    ["inside a function", "do $$ begin perform app.add(n, 1) from (values (1), (2)) v(n); insert into app.bill values (30); perform 1 / 0; exception when division_by_zero then insert into app.bill values (31); update app.bill set total = 9 where id = 31; end $$"],
    ["one level further down", "do $$ declare n int; begin for i in 40..44 loop insert into app.bill values (i) returning app.add(id, i) into n; end loop; end $$"],
  ])("%s", async (_, statement) => {
    await run(statement)
    await expectEqual("bill", held)
  })

  it("and a loop in a function tells each statement as it came", async () => {
    await run(`do $$ begin for i in 1..3 loop update app.bill set total = i where id = 1; end loop; end $$`)
    const told = await db.events("bill")
    fold(told, held)
    expect(told.map((e) => e.after?.["total"])).toEqual([1, 2, 3])
  })
})

describe("one statement that deletes and inserts", () => {
  beforeAll(() => run(`create table app.slot (id int primary key, place text, v int); select tide.track('app.slot', 'slot', 'place')`))
  const held = new Map<string, unknown>()

  it.each([
    ["the INSERT is told first", "with gone as (delete from app.slot returning *) insert into app.slot select id, place, v + 10 from gone limit 1"],
    ["a key moves away and comes anew", "with moved as (update app.slot set id = id + 100 where id < 100 returning *) insert into app.slot select id - 100, 'p2', v from moved limit 1"],
    ["a deletion goes on as a row elsewhere", "with gone as (delete from app.slot where id = 2 returning *) insert into app.slot select id, 'p9', v from gone limit 1"],
    ["MERGE", `merge into app.slot t using (values (1, 'drop', 0), (2, 'move', 3), (3, 'keep', 9), (300, 'none', 300), (301, 'none', 2)) s(src, what, target) on t.id = s.src
       when matched and what = 'drop' then delete when matched and what = 'move' then update set id = 300 + target, place = 'p3'
       when matched then update set v = target when not matched then insert values (target, 'p1', 77)`],
  ])("%s", async (_, statement) => {
    await run(`delete from app.slot; insert into app.slot select n, 'p1', n from generate_series(1, 4) n`)
    await run(statement)
    await expectEqual("slot", held)
  })
})

describe("triggers of the application", () => {
  it("before the row: its last word is what is told", async () => {
    await run(`
      create table app.draft (id int primary key, v int, note text, sum int);
      create function app.touch() returns trigger language plpgsql as $$ begin
        new.note := coalesce(new.note, '') || '!';
        update app.draft set sum = coalesce(sum, 0) + new.v where id = 1 and new.id <> 1;
        if new.v < 0 then return null; end if; return new; end $$;
      create trigger touch before insert or update of v on app.draft for each row execute function app.touch();
      select tide.track('app.draft', 'draft'); insert into app.draft values (1, 1), (2, 2), (3, -3);
      update app.draft set v = v + 1 where id <> 1; update app.draft set v = 0 where id = 1; insert into app.draft values (4, 4), (2, 5) on conflict (id) do update set v = excluded.v`)
    await expectEqual("draft", new Map())
  })

  it("at the end of the transaction: deferred, and the row is changed once more", async () => {
    await run(`
      create table app.late (id int primary key, v int);
      create function app.settle() returns trigger language plpgsql as $$ begin if new.v < 3 then update app.late set v = v + 1 where id = new.id; end if; return null; end $$;
      create constraint trigger settle after insert or update on app.late deferrable initially deferred for each row execute function app.settle();
      select tide.track('app.late', 'late'); begin; insert into app.late values (1, 0), (2, 2); update app.late set v = 1 where id = 1; commit`)
    await expectEqual("late", new Map())
    expect(await rowsOf("app.late")).toEqual([{ id: 2, v: 3 }, { id: 1, v: 4 }])
  })

  it("of a view, and rules, end at the table", async () => {
    await run(`
      create table app.real (id int primary key, v int); select tide.track('app.real', 'real');
      create view app.simple as select id, v from app.real;
      create view app.odd as select id, v * 2 as w from app.real;
      create function app.through() returns trigger language plpgsql as $$ begin update app.real set v = new.w / 2 where id = old.id; return new; end $$;
      create trigger through instead of update on app.odd for each row execute function app.through();
      create table app.inbox (id int, v int); create rule pass as on insert to app.inbox do instead insert into app.real values (new.id, new.v);
      insert into app.simple values (1, 1); insert into app.inbox values (2, 2), (3, 3); update app.odd set w = 20; delete from app.simple where id = 3`)
    await expectEqual("real", new Map())
  })
})

describe("a session in replica mode", () => {
  it("is told like any other, of ordinary and of partitioned tables", async () => {
    await run(`
      create table app.calm (id int primary key, v int); select tide.track('app.calm', 'calm');
      create table app.tree (id int primary key, v int) partition by range (id); create table app.tree_1 partition of app.tree for values from (0) to (10);
      select tide.track('app.tree', 'tree'); create table app.tree_2 partition of app.tree for values from (10) to (20)`)
    const replica = db.connect()
    await replica`set session_replication_role = replica`
    for (const table of ["calm", "tree"]) {
      await replica.unsafe(`insert into app.${table} values (1, 1), (2, 2), (11, 3); update app.${table} set v = 9 where id in (1, 11); delete from app.${table} where id = 2; truncate app.${table}`)
      const told = await db.events(table)
      expect(told.map((e) => e.op)).toEqual(["INSERT", "INSERT", "INSERT", "UPDATE", "UPDATE", "DELETE", "DELETE", "DELETE"])
    }
    await replica`select authz.grant_access('user:ada', level => 'VIEW')`
    expect((await db.events("_grant")).map((e) => e.op)).toEqual(["INSERT"])
  })

  it("is named by tide.outdated where somebody enabled the triggers the ordinary way", async () => {
    await run(`alter table app.calm enable trigger user`)
    expect(await db.sql`select what from tide.outdated() where entity = 'calm'`).toEqual([{ what: "its triggers are gone, disabled, or not enabled always" }])
    await db.sql`select tide.track('app.calm', 'calm')`
    expect(await db.sql`select what from tide.outdated() where entity = 'calm'`).toEqual([])
  })
})

describe("a transaction's parts", () => {
  it("a savepoint that is rolled back tells nothing, and what it nested is forgotten with it", async () => {
    await run(`create table app.part (id int primary key, v int); select tide.track('app.part', 'part')`)
    await run(`begin; insert into app.part values (1, 1); savepoint a; update app.part set v = 2; insert into app.part values (2, 2); savepoint b; delete from app.part; rollback to b;
      rollback to a; insert into app.part values (3, 3); release a; commit`)
    expect((await db.events("part")).map((e) => `${e.op} ${e.entity_id}`)).toEqual(["INSERT 1", "INSERT 3"])
  })

  it("has one xid, savepoints and exceptions included", async () => {
    await run(`begin; insert into app.part values (10, 1); savepoint a; insert into app.part values (11, 1); release a;
      do $$ begin insert into app.part values (12, 1); begin insert into app.part values (12, 1); exception when unique_violation then insert into app.part values (13, 1); end; end $$; commit`)
    const told = await db.events("part")
    expect(told.map((e) => e.entity_id)).toEqual(["10", "11", "12", "13"])
    expect(new Set(told.map((e) => e.xid)).size).toBe(1)
  })
})

describe("columns that come, go and change", () => {
  it("are in the next event without tracking again", async () => {
    await run(`create table app.wide (id int primary key, place text, a int); select tide.track('app.wide', 'wide', 'place'); insert into app.wide values (1, 'p', 1)`)
    const writer = db.connect()
    const last = async (change: string) => {
      await run(change)
      await writer`update app.wide set place = place`
      return (await db.events("wide")).at(-1)!.after
    }
    await writer`update app.wide set place = place`
    expect(await last("alter table app.wide add column b numeric default 1.50")).toEqual({ id: 1, place: "p", a: 1, b: 1.5 })
    expect(await last("alter table app.wide rename column a to c")).toEqual({ id: 1, place: "p", c: 1, b: 1.5 })
    expect(await last("alter table app.wide alter column c type text using c || '!'")).toEqual({ id: 1, place: "p", c: "1!", b: 1.5 })
    expect(await last("alter table app.wide drop column b")).toEqual({ id: 1, place: "p", c: "1!" })
    expect(await last("alter table app.wide alter column c type timestamptz using '2026-11-21 10:00+02'")).toEqual({ id: 1, place: "p", c: "2026-11-21T08:00:00+00:00" })
  })

  it("virtual ones are computed", async (context) => {
    const [server] = await db.sql`select current_setting('server_version_num')::int >= 180000 as has`
    if (server!["has"] !== true) return context.skip()
    await run(`create table app.shape (id int primary key, w int, "h%s" int, area int generated always as (w * "h%s") virtual); select tide.track('app.shape', 'shape');
      insert into app.shape values (1, 2, 3), (2, 4, 5); update app.shape set w = w + 1; update app.shape set id = 9 where id = 1; delete from app.shape where id = 2`)
    const told = await db.events("shape")
    expect(told.map((e) => e.after?.["area"] ?? null)).toEqual([6, 20, 9, 25, null, 9, null])
    expect(told.map((e) => e.before?.["area"] ?? null)).toEqual([null, null, 6, 20, 9, null, 25])
    expect(await refusal(db.sql`select tide.track('app.shape', 'shape', 'area')`)).toMatchObject({ message: expect.stringContaining("virtual"), hint: expect.stringContaining("stored") })
  })
})

describe("tables that hide rows", () => {
  it("are not tracked by a role that does not see all of them", async () => {
    await run(`create role app_owner login password 'test'; grant usage, create on schema app to app_owner; grant usage on schema tide to app_owner;
      grant execute on all functions in schema tide to app_owner; grant select on tide.tracked to app_owner;
      create table app.secret (id int primary key, v int); alter table app.secret owner to app_owner; alter table app.secret enable row level security, force row level security`)
    const owner = db.connect("app_owner")
    expect(await refusal(owner`select tide.track('app.secret', 'secret')`)).toMatchObject({ message: "tide.track: policies of app.secret hide rows from app_owner", hint: expect.stringContaining("BYPASSRLS") })
    await db.sql`select tide.track('app.secret', 'secret')`
    // A deletion asks whether the row is there: a policy must not say that it is not.
    await run(`create table app.later (id int primary key, v int); select tide.track('app.later', 'later'); alter table app.later enable row level security; create policy none on app.later using (false)`)
    expect(await db.sql`select what from tide.outdated() where entity = 'later'`).toEqual([{ what: "its policies hide rows from tide_capture" }])
    await db.sql`select tide.track('app.later', 'later')`
    expect(await db.sql`select what from tide.outdated() where entity = 'later'`).toEqual([])
    await run(`insert into app.later values (1, 1); with gone as (delete from app.later returning *) insert into app.later select * from gone limit 1; update app.later set id = 2`)
    await expectEqual("later", new Map())
  })
})
