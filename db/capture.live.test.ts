/** Every way a row can change yields the right events: one by one, then at random against a fold of the outbox. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { fold, openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

let db: TestDatabase
beforeAll(async () => void (db = await openDatabase()))
afterAll(() => db.stop())

/** What happened, short: `UPDATE p1/7`. */
const story = async (entity: string) => (await db.events(entity)).map((e) => `${e.op} ${e.scope ?? "_"}/${e.entity_id}`)

describe("an ordinary table", () => {
  beforeAll(async () => {
    await db.sql.unsafe(`
      create schema app;
      create table app.item (id int primary key, place text, title text, twice int generated always as (id * 2) stored, at timestamptz);
      select tide.track('app.item', entity => 'item', scope => 'place');
      create table app.part (id bigint generated always as identity primary key, item_id int references app.item on delete cascade on update cascade, place text default 'p1');
      select tide.track('app.part', entity => 'part', scope => 'place');`)
    await db.events()
  })

  it("tells inserts, updates and deletes with their images", async () => {
    await db.sql`insert into app.item values (1, 'p1', 'one', default, '2026-11-21 10:00+02')`
    await db.sql`update app.item set title = 'uno'`
    await db.sql`delete from app.item`
    const [insert, update, gone] = await db.events("item")
    expect(insert).toMatchObject({ op: "INSERT", scope: "p1", entity_id: "1", before: null })
    expect(insert!.after).toEqual({ id: 1, place: "p1", title: "one", twice: 2, at: "2026-11-21T08:00:00+00:00" })
    expect(update).toMatchObject({ op: "UPDATE", before: insert!.after, after: { title: "uno" } })
    expect(gone).toMatchObject({ op: "DELETE", after: null, before: update!.after })
  })

  it("says who and how, and only where the writer said so", async () => {
    await db.sql.begin(async (tx) => {
      await tx`select set_config('tide.user_id', 'ada', true), set_config('tide.mutation_id', 'm1', true)`
      await tx`insert into app.item values (2, null, 'two')`
    })
    await db.sql`insert into app.item values (3, null, 'three')`
    const [by, anonymous] = await db.events("item")
    expect(by).toMatchObject({ user_id: "ada", mutation_id: "m1", scope: null })
    expect(anonymous).toMatchObject({ user_id: null, mutation_id: null })
  })

  it("writes images that do not depend on the writer's settings", async () => {
    await db.sql.begin(async (tx) => {
      await tx.unsafe(`set local timezone = 'Asia/Tokyo'; set local datestyle = 'German'; set local search_path = 'app'`)
      await tx`update app.item set at = '2026-01-01 00:00+00' where id = 2`
    })
    expect((await db.events("item"))[0]!.after).toMatchObject({ at: "2026-01-01T00:00:00+00:00" })
  })

  it("tells a change of scope or key as a deletion of the old address and an insertion at the new", async () => {
    await db.sql`update app.item set place = 'p2' where id = 2`
    await db.sql`update app.item set place = null where id = 2`
    await db.sql`update app.item set id = 20, place = 'p3' where id = 2`
    expect(await story("item")).toEqual([
      "DELETE _/2", "INSERT p2/2", "DELETE p2/2", "INSERT _/2", expect.stringMatching(/DELETE _\/2|INSERT p3\/20/), expect.stringMatching(/DELETE _\/2|INSERT p3\/20/),
    ])
  })

  it("tells bulk updates row by row, moved ones and others in one statement", async () => {
    await db.sql`insert into app.item select n, 'p1', 'bulk' from generate_series(100, 109) n`
    await db.sql`update app.item set title = 'x', place = case when id % 2 = 0 then 'p1' else 'p9' end where id between 100 and 109`
    const told = await story("item")
    expect(told).toHaveLength(10 + 5 + 10)
    expect(told.filter((line) => line.startsWith("UPDATE"))).toHaveLength(5)
    expect(told.indexOf("DELETE p1/101")).toBeLessThan(told.indexOf("INSERT p9/101"))
  })

  it("pairs rows by address when keys are shifted", async () => {
    await db.sql`update app.item set id = id + 1000 where id between 100 and 109`
    await db.sql`delete from app.item where id between 1100 and 1109`
    const held = fold(await db.events("item"))
    expect(held.size).toBe(0)
  })

  it("tells an upsert as what it did", async () => {
    await db.sql`insert into app.item values (3, 'p1', 'again'), (4, 'p1', 'new') on conflict (id) do update set title = excluded.title`
    await db.sql`insert into app.item values (3, 'p1', 'never') on conflict do nothing`
    expect((await story("item")).sort()).toEqual(["INSERT p1/4", "UPDATE _/3"])
  })

  it("tells COPY", async () => {
    const stream = await db.sql`copy app.item (id, place, title) from stdin`.writable()
    await new Promise<void>((done, fail) => stream.on("error", fail).on("finish", done).end("50\tp1\tcopied\n51\tp1\tcopied\n"))
    expect(await story("item")).toEqual(["INSERT p1/50", "INSERT p1/51"])
  })

  it("tells cascades, of deletes and of key changes", async () => {
    await db.sql`insert into app.part (item_id) values (50), (50), (51)`
    await db.events()
    await db.sql`update app.item set id = 60 where id = 50`
    expect((await db.events("part")).map((e) => [e.op, e.after?.["item_id"]])).toEqual([["UPDATE", 60], ["UPDATE", 60]])
    await db.sql`delete from app.item where id in (60, 51)`
    expect((await story("part")).map((line) => line.split(" ")[0])).toEqual(["DELETE", "DELETE", "DELETE"])
  })

  it("tells TRUNCATE as a deletion of each row, of other tables too", async () => {
    await db.sql`insert into app.part (item_id) values (3), (4)`
    await db.events()
    await db.sql`truncate app.item cascade`
    const events = await db.events()
    expect(events.map((e) => `${e.entity} ${e.op}`).sort()).toEqual(["item DELETE", "item DELETE", "item DELETE", "part DELETE", "part DELETE"])
    await db.sql`truncate app.item cascade`
    expect(await db.events()).toEqual([])
  })

  it("refuses a TRUNCATE that could drop rows its snapshot does not see", async () => {
    const refused = await refusal(db.sql.begin("isolation level repeatable read", (tx) => tx`truncate app.item cascade`))
    expect(refused).toMatchObject({ code: "0A000", hint: expect.stringContaining("read committed") })
  })

  it("writes nothing for a statement that changed nothing, and nothing for one that was rolled back", async () => {
    await db.sql`update app.item set title = 'x' where false`
    await db.sql`delete from app.item where false`
    await refusal(db.sql.begin(async (tx) => {
      await tx`insert into app.item values (1, 'p1', 'never')`
      await tx`savepoint s`
      throw Object.assign(new Error("no"), { code: "mine" })
    }))
    expect(await db.events()).toEqual([])
  })

  it("refuses ids and scopes that fit no subject, and rows that fit no message", async () => {
    expect(await refusal(db.sql`insert into app.item values (1, ${"ä".repeat(200)}, 'x')`)).toMatchObject({ code: "54000", message: expect.stringContaining("scope too long") })
    await db.sql`insert into app.item values (1, ${"x".repeat(1_000)}, 'long but plain')`
    expect(await refusal(db.sql`update app.item set title = repeat('x', 9000000)`)).toMatchObject({ code: "54000", message: expect.stringContaining("too large for an event") })
  })
})

describe("what keeps the newest event of a row the newest image", () => {
  it("tells what a row trigger of the application changed in rows of the same statement", async () => {
    await db.sql.unsafe(`
      create table app.node (id int primary key, parent int, depth int, touched int default 0);
      create function app.sink() returns trigger language plpgsql as $$ begin
        update app.node set depth = new.depth + 1, touched = touched + 1 where parent = new.id; return null; end $$;
      create trigger sink after update of depth on app.node for each row execute function app.sink();
      select tide.track('app.node', entity => 'node');
      insert into app.node values (1, null, 0), (2, 1, 1), (3, 2, 2), (4, 3, 3);`)
    const held = fold(await db.events("node"))
    await db.sql`update app.node set depth = depth + 10 where id in (1, 2, 4)`
    fold(await db.events("node"), held)
    expect([...held.values()]).toEqual(expect.arrayContaining(await rowsOf("app.node")))
  })

  it("follows keys that trade places under a deferrable primary key", async () => {
    await db.sql.unsafe(`
      create table app.seat (n int, guest text, primary key (n) deferrable);
      select tide.track('app.seat', entity => 'seat');
      insert into app.seat select n, 'guest ' || n from generate_series(1, 5) n;`)
    const held = fold(await db.events("seat"))
    await db.sql`update app.seat set n = n + 1`
    await db.sql.begin(async (tx) => {
      await tx`set constraints all deferred`
      await tx`update app.seat set n = 3 where guest = 'guest 1'`
      await tx`update app.seat set n = 2 where guest = 'guest 2'`
    })
    fold(await db.events("seat"), held)
    expect(held.size).toBe(5)
    expect([...held.values()]).toEqual(expect.arrayContaining(await rowsOf("app.seat")))
  })

  it("tells a row that two foreign keys touch in one statement as gone where it is gone", async () => {
    await db.sql.unsafe(`
      create table app.friend (id int primary key);
      create table app.letter (id int primary key, reader int references app.friend on delete cascade, writer int references app.friend on delete set null);
      select tide.track('app.letter', entity => 'letter');
      insert into app.friend values (1), (2);
      insert into app.letter values (10, 2, 1), (11, 1, null);`)
    const held = fold(await db.events("letter"))
    await db.sql`delete from app.friend`
    fold(await db.events("letter"), held)
    expect(held.size).toBe(0)
  })

  it("keeps a self-referencing cascade in order", async () => {
    await db.sql.unsafe(`
      create table app.leaf (id int primary key, above int references app.leaf on update cascade on delete set null, v int default 0);
      select tide.track('app.leaf', entity => 'leaf');
      insert into app.leaf values (1, null), (2, 1), (3, 2);`)
    const held = fold(await db.events("leaf"))
    await db.sql`update app.leaf set id = id + 10, v = v + 1`
    fold(await db.events("leaf"), held)
    expect([...held.values()]).toEqual(expect.arrayContaining(await rowsOf("app.leaf")))
    expect(held.size).toBe(3)
    await db.sql`delete from app.leaf where id in (11, 12)`
    fold(await db.events("leaf"), held)
    expect([...held.values()]).toEqual(await rowsOf("app.leaf"))
  })
})

describe("keys and names of every kind", () => {
  it("escapes composite keys and quotes every name", async () => {
    await db.sql.unsafe(`
      create schema "My ""Schema""";
      create table "My ""Schema"""."Sel'ect" ("Group" text, "a,b" int, "tide_n" text, n text, "s.c" text, primary key ("Group", "a,b"));
      select tide.track('"My ""Schema"""."Sel''ect"', entity => 'odd', scope => 's.c');
      insert into "My ""Schema"""."Sel'ect" values ('x,y', 1, 'a', 'n', 'sc'), ('b\\s', 2, 'b', 'n', null);
      update "My ""Schema"""."Sel'ect" set "s.c" = 'sd', n = 'm' where "a,b" = 1;
      delete from "My ""Schema"""."Sel'ect" where "a,b" = 2;
      truncate "My ""Schema"""."Sel'ect";`)
    expect(await story("odd")).toEqual(["INSERT sc/x\\,y,1", "INSERT _/b\\\\s,2", "DELETE sc/x\\,y,1", "INSERT sd/x\\,y,1", "DELETE _/b\\\\s,2", "DELETE sd/x\\,y,1"])
  })

  it.each([
    ["uuid", "'c0ffee00-0000-4000-8000-000000000001'", "c0ffee00-0000-4000-8000-000000000001"],
    ["bigint", "9007199254740993", "9007199254740993"],
    ["numeric", "1.50", "1.50"],
    ["date", "'2026-11-21'", "2026-11-21"],
    ["text", "''", ""],
    ["char(5)", "'ab'", "ab"],
    ["boolean", "true", "true"],
    ["bytea", "'\\x00ff'", "\\x00ff"],
    ["app.weather", "'wet wind'", "wet wind"],
    ["app.positive", "7", "7"],
  ])("takes a %s for a key", async (type, literal, id) => {
    if (type === "app.weather") await db.sql.unsafe(`create type app.weather as enum ('dry', 'wet wind')`)
    if (type === "app.positive") await db.sql.unsafe(`create domain app.positive as int not null check (value > 0)`)
    await db.sql.unsafe(`
      create table app.key (k ${type} primary key, v int);
      select tide.track('app.key', entity => 'key');
      insert into app.key values (${literal}, 1); update app.key set v = 2; select tide.backfill('app.key');
      select set_config('tide.nested_key', 'on', true); update app.key set v = 3; delete from app.key;
      select tide.untrack('app.key'); drop table app.key;`)
    expect(await story("key")).toEqual(["INSERT", "UPDATE", "READ", "UPDATE", "DELETE"].map((op) => `${op} _/${id}`))
  })
})

describe("a tree of tables", () => {
  it("follows partitions: writes to any of them, rows that move, partitions made later", async () => {
    await db.sql.unsafe(`
      create table app.reading (region text, n int, v int, primary key (region, n)) partition by list (region);
      create table app.reading_a partition of app.reading for values in ('a');
      create table app.reading_b (v int, n int not null, region text not null);
      alter table app.reading attach partition app.reading_b for values in ('b');
      select tide.track('app.reading', entity => 'reading', scope => 'region');
      create table app.reading_c partition of app.reading for values in ('c');`)
    await db.events()
    await db.sql`insert into app.reading select r, n, 0 from unnest(array['a', 'b', 'c']) r, generate_series(1, 2) n`
    await db.sql`update app.reading_b set v = 1`
    await db.sql`update app.reading set region = 'c', n = 9 where region = 'a' and n = 1`
    const held = fold(await db.events("reading"))
    expect([...held.values()]).toEqual(expect.arrayContaining(await rowsOf("app.reading")))
    expect(held.size).toBe(6)
    await db.sql`truncate app.reading_b`
    await db.sql`truncate app.reading`
    const gone = await db.events("reading")
    expect(gone.map((e) => e.op)).toEqual(Array(6).fill("DELETE"))
    expect(fold(gone, held).size).toBe(0)
  })

  it("follows an inheritance child whose parent is written", async () => {
    await db.sql.unsafe(`
      create table app.base (id int, v int);
      create table app.child (primary key (id)) inherits (app.base);
      select tide.track('app.child', entity => 'child');
      insert into app.child values (1, 1); update app.base set v = 2; delete from app.base;`)
    expect(await story("child")).toEqual(["INSERT _/1", "UPDATE _/1", "DELETE _/1"])
  })
})

const rowsOf = async (table: string): Promise<Array<unknown>> => (await db.sql.unsafe(`select to_json(t) as row from ${table} t`)).map((r) => r["row"] as unknown)
