/** The registry: what may be tracked, what a second call changes, what untracking leaves, and who may do what. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Schema } from "effect"
import { TrackedEntity } from "#protocol/schema.ts"
import { fold, openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

let db: TestDatabase
beforeAll(async () => {
  db = await openDatabase()
  await db.sql.unsafe(`create schema app; create table app.item (id int primary key, place text, title text)`)
})
afterAll(() => db.stop())

describe("tide.track refuses, and says what to do", () => {
  it.each<[string, string, string, string, string]>([
    ["a table without a primary key", "create table app.loose (a int)", "tide.track('app.loose', 'loose')", "app.loose has no primary key", "alter table app.loose add primary key"],
    ["a view", "create view app.seen as select 1 as id", "tide.track('app.seen', 'seen')", "app.seen is not a table", "tables behind it"],
    ["an unlogged table", "create unlogged table app.fast (id int primary key)", "tide.track('app.fast', 'fast')", "temporary or unlogged", "set logged"],
    ["a temporary table", "create temporary table fleeting (id int primary key)", "tide.track('fleeting', 'fleeting')", "temporary or unlogged", "set logged"],
    ["an inheritance parent", "create table app.base (id int primary key); create table app.heir () inherits (app.base)", "tide.track('app.base', 'base')", "inherit from app.base", "each of them"],
    ["its own tables", "select 1", "tide.track('authz.grants', 'grant')", "belongs to the system", "your own schemas"],
    ["a column that is not there", "select 1", "tide.track('app.item', 'item', 'project_id')", "no column 'project_id'", "Columns: id, place, title"],
    ["a code with capitals", "select 1", "tide.track('app.item', 'Item')", "'Item' is not an entity code", "small letter"],
    ["a code of the log's own", "select 1", "tide.track('app.item', '_grant')", "'_grant' is not an entity code", "small letter"],
    ["no code", "select 1", "tide.track('app.item', null)", "not an entity code", "small letter"],
  ])("%s", async (_, prepare, call, message, hint) => {
    await db.sql.unsafe(prepare)
    expect(await refusal(db.sql.unsafe(`select ${call}`))).toMatchObject({ message: expect.stringContaining(message), hint: expect.stringContaining(hint) })
  })

  it("a table that does not exist", async () => {
    expect(await refusal(db.sql`select tide.track('app.nothing', 'nothing')`)).toMatchObject({ code: "42P01", message: expect.stringContaining("app.nothing") })
  })

  it("a code that another table has, and a second code for one table", async () => {
    await db.sql.unsafe(`create table app.one (id int primary key); create table app.two (id int primary key); select tide.track('app.one', 'one')`)
    expect(await refusal(db.sql`select tide.track('app.two', 'one')`)).toMatchObject({ message: expect.stringContaining("'one' is already table app.one"), hint: expect.stringContaining("untrack_entity") })
    expect(await refusal(db.sql`select tide.track('app.one', 'uno')`)).toMatchObject({ message: expect.stringContaining("already tracked as 'one'"), hint: expect.stringContaining("tide.untrack('app.one')") })
  })
})

describe("the registry", () => {
  it("is in the log, with a JSON Schema of the rows", async () => {
    await db.sql.unsafe(`
      create type app.mood as enum ('calm', 'it''s rough');
      create domain app.short as varchar(12);
      create table app.rich (
        id uuid primary key, n smallint not null, big bigint generated always as identity, mood app.mood, moods app.mood[] not null, day date, at timestamptz not null default now(),
        name app.short not null, note text, doc jsonb, half float8, price numeric(9, 2), len int generated always as (n * 2) stored, span interval, place text);
      comment on column app.rich.note is 'What to know';
      select tide.track('app.rich', entity => 'rich', scope => 'place')`)
    const [event] = await db.events("_entity").then((all) => all.filter((e) => e.entity_id === "rich"))
    expect(event).toMatchObject({ op: "INSERT", scope: null })
    const entity = Schema.decodeUnknownSync(TrackedEntity)(event!.after)
    expect(entity).toMatchObject({ table_name: "app.rich", key_columns: ["id"], scope_column: "place" })
    expect(entity.json_schema).toMatchObject({
      title: "rich", type: "object", "x-key": ["id"], "x-scope": "place", required: ["id", "n", "big", "mood", "moods", "day", "at", "name", "note", "doc", "half", "price", "len", "span", "place"],
      properties: {
        id: { type: "string", format: "uuid" },
        n: { type: "integer", minimum: -32768, maximum: 32767 },
        big: { type: "integer", readOnly: true },
        mood: { type: ["string", "null"], enum: ["calm", "it's rough", null] },
        moods: { type: "array", items: { type: "string", enum: ["calm", "it's rough"] } },
        day: { type: ["string", "null"], format: "date" },
        at: { type: "string", format: "date-time", "x-default": true },
        name: { type: "string", maxLength: 12 },
        note: { type: ["string", "null"], description: "What to know" },
        half: { type: ["number", "null"] },
        len: { type: ["integer", "null"], readOnly: true },
        span: { type: ["string", "null"], "x-type": "interval" },
      },
    })
  })

  it("takes over new columns when a table is tracked once more", async () => {
    await db.sql.unsafe(`select tide.track('app.item', 'item', 'place'); insert into app.item values (1, 'p1', 'one'); alter table app.item add column more int default 7`)
    await db.events()
    await db.sql`select tide.track('app.item', 'item', 'place', before_image => false)`
    await db.sql`update app.item set more = 8`
    const [entity, update] = await db.events()
    expect(entity).toMatchObject({ entity: "_entity", op: "UPDATE" })
    expect(JSON.stringify(entity!.after)).toContain('"more"')
    expect(update).toMatchObject({ after: { more: 8 }, before: null })
  })

  it("moves the rows when their scope is another column", async () => {
    await db.sql`insert into app.item values (2, 'p2', 'two')`
    await db.events()
    await db.sql`select tide.track('app.item', 'item', 'title')`
    await db.sql`select tide.backfill('app.item')`
    const told = (await db.events("item")).map((e) => `${e.op} ${e.scope}/${e.entity_id}`)
    expect(told).toEqual(["DELETE p1/1", "DELETE p2/2", "READ one/1", "READ two/2"])
  })

  it("forgets the rows of an untracked table, and hears no more of it", async () => {
    const held = fold([])
    await db.sql`select tide.track('app.item', 'item', 'place')`
    await db.sql`select tide.backfill('app.item')`
    fold(await db.events("item"), held)
    expect(held.size).toBe(2)
    await db.sql`select tide.untrack('app.item')`
    await db.sql`insert into app.item values (3, 'p3', 'unheard')`
    await db.sql`truncate app.item`
    const events = await db.events()
    expect(fold(events.filter((e) => e.entity === "item"), held).size).toBe(0)
    expect(events.at(-1)).toMatchObject({ entity: "_entity", entity_id: "item", op: "DELETE" })
    expect(await db.sql`select tgname from pg_trigger where tgrelid = 'app.item'::regclass and not tgisinternal`).toEqual([])
    expect(await refusal(db.sql`select tide.untrack('app.item')`)).toMatchObject({ message: expect.stringContaining("not tracked") })
  })

  it("knows which tables changed since they were tracked", async () => {
    await db.sql.unsafe(`
      create table app.drift (id int primary key, place text);
      create table app.tree (id int primary key) partition by range (id); create table app.tree_1 partition of app.tree for values from (0) to (10);
      select tide.track('app.drift', 'drift', 'place'), tide.track('app.tree', 'tree')`)
    const outdated = async () => (await db.sql`select entity, what from tide.outdated()`).map((r) => `${String(r["entity"])}: ${String(r["what"])}`)
    expect(await outdated()).toEqual([])
    const steps: ReadonlyArray<[change: string, what: RegExp]> = [
      ["alter table app.drift add column more int", /drift: its columns changed/],
      ["alter table app.drift rename to drifted", /drift: its key or its name changed/],
      ["alter table app.drifted disable trigger tide_update", /drift: its triggers are gone, disabled, or not enabled always/],
    ]
    for (const [change, what] of steps) {
      await db.sql.unsafe(change)
      expect(await outdated()).toEqual([expect.stringMatching(what)])
      await db.sql.unsafe(`do $$ begin perform tide.track(relation, entity, scope_column, before_image) from tide.tracked where entity = 'drift'; end $$`)
      expect(await outdated()).toEqual([])
    }
    await db.sql.unsafe(`create table app.tree_2 partition of app.tree for values from (10) to (20)`)
    expect(await outdated()).toEqual(["tree: TRUNCATE of a newer partition would go unseen"])
    await db.sql.unsafe(`select tide.track('app.tree', 'tree'); alter table app.drifted drop column place; drop table app.tree`)
    expect(await outdated()).toEqual(["drift: its scope column is gone", "tree: the table was dropped"])
    await db.sql`select tide.untrack_entity('tree')`
    await db.sql`select tide.track('app.drifted', 'drift')`
    expect(await outdated()).toEqual([])
  })

  it("forgets a table that was dropped, by its code", async () => {
    await db.sql`drop table app.one`
    await db.sql`select tide.untrack_entity('one')`
    expect((await db.events("_entity")).at(-1)).toMatchObject({ entity_id: "one", op: "DELETE" })
    expect(await refusal(db.sql`select tide.untrack_entity('one')`)).toMatchObject({ hint: expect.stringContaining("tide.tracked") })
  })
})

describe("roles", () => {
  it("let an application write its tables and nothing of Tideline", async () => {
    await db.sql.unsafe(`
      create role app_writer login password 'test'; grant usage on schema app to app_writer;
      create table app.theirs (id int primary key); grant all on app.theirs to app_writer; select tide.track('app.theirs', 'theirs')`)
    await db.events()
    const writer = db.connect("app_writer")
    await writer`insert into app.theirs values (1)`
    await writer`truncate app.theirs`
    expect((await db.events("theirs")).map((e) => e.op)).toEqual(["INSERT", "DELETE"])
    for (const query of ["select * from tide.outbox", "insert into tide.outbox (entity) values ('x')", "select tide.backfill('app.theirs')", "select * from authz.grants", "select authz.allows('ada', 'VIEW', null, 'x', '1')"]) {
      expect((await refusal(writer.unsafe(query))).code).toBe("42501")
    }
  })

  it("let the relay read and keep its state, the command service mutate, and neither more", async () => {
    const relay = db.connect("tide_relay")
    await relay`select count(*) from tide.outbox`
    await relay`select tide.make_partitions(2), tide.wake_key(), tide.lease_key(), tide.system_identifier()`
    await relay`select tide.save_relay_state('1-abc', '2026-11-21T00:00:00.123456789Z', 41)`
    await relay`select tide.save_relay_state('1-abc', '2026-11-21T00:00:00.123456789Z', 42)`
    expect(await relay`select epoch, stream_created, acked_seq from tide.relay_state where system_identifier = tide.system_identifier()`).toEqual([
      { epoch: "1-abc", stream_created: "2026-11-21T00:00:00.123456789Z", acked_seq: "42" }])
    const command = db.connect("tide_command")
    await command`select tide.mutate('{}', 'ada')`
    await command`select authz.expire(), tide.prune_mutations()`
    for (const [role, query] of [
      [relay, "insert into tide.outbox (entity) values ('x')"], [relay, "select tide.mutate('{}', 'ada')"], [relay, "select * from app.theirs"],
      [command, "select * from tide.outbox"], [command, "select authz.grant_access('user:x', level => 'OWNER')"], [command, "select * from app.theirs"],
    ] as const) {
      expect((await refusal(role.unsafe(query))).code).toBe("42501")
    }
  })
})
