/** tide.mutate: what each kind of mutation answers, to whom, and what it leaves. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { Schema } from "effect"
import type postgres from "postgres"
import { MutationResult } from "#protocol/mutation.ts"
import type { Mutation } from "#protocol/mutation.ts"
import { openDatabase } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

let db: TestDatabase
/** As the command service connects. */
let command: postgres.Sql
beforeAll(async () => {
  db = await openDatabase()
  command = db.connect("tide_command")
  await db.sql.unsafe(`
    create schema app;
    create type app.status as enum ('todo', 'done');
    create table app.project (id text primary key);
    insert into app.project values ('p1'), ('p2'), ('p3');
    create table app.task (
      id uuid primary key, project_id text not null references app.project, title text not null constraint title_has_letters check (title <> ''),
      status app.status not null default 'todo', due date, at timestamptz, labels text[] not null default '{}', size int, code text unique, len int generated always as (length(title)) stored);
    create table app.remark (id int primary key, task_id uuid not null references app.task);
    create table app.pair (a text, b int, v text, primary key (a, b));
    create table app.counter (id bigint generated always as identity primary key, v int);
    create function public.helper() returns text language sql as $$ select 'helped' $$;
    create function app.guard() returns trigger language plpgsql as $$ begin
      if new.title = 'forbidden' then raise exception 'that word is not wanted here'; end if;
      if new.title = 'helped' then new.title := helper(); end if; -- found by the application's search path
      if new.title = 'dropped' then return null; end if;
      if new.title = 'elsewhere' then new.project_id := 'p3'; end if;
      return new; end $$;
    create trigger guard before insert or update on app.task for each row execute function app.guard();
    select tide.track('app.task', 'task', 'project_id'), tide.track('app.pair', 'pair'), tide.track('app.counter', 'counter'), tide.track('app.remark', 'remark');
    select authz.grant_access('user:ada', level => 'OWNER'), authz.grant_access('user:viewer', scope => 'p1', level => 'VIEW'),
           authz.grant_access('user:editor', scope => 'p1', level => 'EDIT'), authz.grant_access('user:maker', scope => 'p1', level => 'CREATE');`)
})
afterAll(() => db.stop())

const ONE = "00000000-0000-4000-8000-000000000001"
const TWO = "00000000-0000-4000-8000-000000000002"
const HIDDEN = "00000000-0000-4000-8000-000000000009"
const FREE = "00000000-0000-4000-8000-00000000000f"

beforeEach(async () => {
  await db.sql.unsafe(`
    truncate app.remark, app.task, app.pair;
    insert into app.task (id, project_id, title, due, at, code) values
      ('${ONE}', 'p1', 'one', '2026-11-21', '2026-11-21 10:00+00', 'A'), ('${TWO}', 'p1', 'two', null, null, 'B'), ('${HIDDEN}', 'p2', 'hidden', null, null, 'H')`)
  await db.events()
})

let ids = 0
type Wish = Partial<ConstructorParameters<typeof Mutation>[0]>
const mutateRaw = async (mutation: unknown, user: string) => {
  const [row] = await command`select tide.mutate(${JSON.stringify(mutation)}::text::jsonb, ${user}) as result`
  return Schema.decodeUnknownSync(MutationResult)(row!["result"])
}
const mutate = (user: string, wish: Wish) => mutateRaw({ id: `m${++ids}`, entityCode: "task", entityId: ONE, op: "update", ...wish }, user)
const title = async (id = ONE) => (await db.sql`select title from app.task where id = ${id}`)[0]?.["title"] as unknown
const denied = { status: "denied", message: "no such row, or not allowed" }

describe("an update", () => {
  it("changes what it names, and its event says who and which mutation", async () => {
    const result = await mutate("editor", { id: "m-first", base: { title: "one" }, data: { title: "uno", labels: ["a", "b"], status: "done", due: null } })
    expect(result).toEqual(new MutationResult({ id: "m-first", status: "applied" }))
    expect(await db.events()).toMatchObject([{ op: "UPDATE", entity_id: ONE, user_id: "editor", mutation_id: "m-first", after: { title: "uno", labels: ["a", "b"], status: "done", due: null, len: 3 } }])
  })

  it("is not said of what the same transaction does next", async () => {
    await db.sql.begin(async (tx) => {
      await tx`set local tide.user_id = 'outer'`
      await tx`select tide.mutate(${JSON.stringify({ id: "m-tx", entityCode: "task", entityId: ONE, op: "update", data: { size: 1 } })}::text::jsonb, 'editor')`
      await tx`update app.task set size = 2 where id = ${ONE}`
    })
    expect((await db.events()).map((e) => [e.user_id, e.mutation_id])).toEqual([["editor", "m-tx"], ["outer", null]])
  })

  it("lets edits of different fields both win, and reports a true clash with the row as it is", async () => {
    expect((await mutate("editor", { base: { title: "one" }, data: { title: "uno" } })).status).toBe("applied")
    expect((await mutate("editor", { base: { status: "todo", title: "one" }, data: { status: "done" } })).status).toBe("applied")
    const clash = await mutate("editor", { base: { title: "one" }, data: { title: "eins" } })
    expect(clash).toMatchObject({ status: "conflict", current: { id: ONE, title: "uno", status: "done" }, message: "changed meanwhile: title" })
    expect(await title()).toBe("uno")
    expect((await mutate("editor", { base: { title: "one" }, data: { title: "uno" } })).status).toBe("applied")
    expect((await mutate("editor", { data: { title: "the last one" } })).status).toBe("applied")
  })

  it("compares values, not spellings", async () => {
    const result = await mutate("editor", { base: { due: "20261121", at: "2026-11-21T12:00:00+02:00", size: null }, data: { due: "2026-12-01", at: null, size: 3 } })
    expect(result.status).toBe("applied")
  })

  it("always echoes, even where nothing differs, and with no data at all", async () => {
    expect((await mutate("editor", { data: { title: "one" } })).status).toBe("applied")
    expect((await mutate("editor", { data: {} })).status).toBe("applied")
    expect((await mutate("editor", { data: { id: ONE, len: 3, project_id: "p1" } })).status).toBe("applied")
    expect((await db.events()).map((e) => e.op)).toEqual(["UPDATE", "UPDATE", "UPDATE"])
  })

  it("answers a hidden row as one that is not there", async () => {
    const [hidden, missing, malformed, respelled] = await Promise.all([
      mutate("editor", { id: "a1", entityId: HIDDEN, data: { title: "x" } }), mutate("editor", { id: "a1", entityId: FREE, data: { title: "x" } }),
      mutate("editor", { id: "a1", entityId: "no uuid", data: { title: "x" } }), mutate("editor", { id: "a1", entityId: `{${ONE}}`, data: { title: "x" } }),
    ])
    expect(hidden).toMatchObject(denied)
    expect(missing).toEqual(hidden)
    expect(malformed).toEqual(hidden)
    expect(respelled).toEqual(hidden)
    // Not even through wrong columns or values.
    expect(await mutate("editor", { id: "a1", entityId: HIDDEN, base: { title: "hidden" }, data: { nonsense: 1 } })).toEqual(hidden)
    expect(await mutate("stranger", { data: { title: "x" } })).toMatchObject(denied)
  })

  it("needs EDIT", async () => {
    expect(await mutate("viewer", { data: { title: "x" } })).toMatchObject(denied)
    expect(await title()).toBe("one")
  })

  it("needs CREATE where it moves the row to, even if a trigger moves it", async () => {
    expect(await mutate("editor", { data: { project_id: "p2" } })).toMatchObject(denied)
    expect(await mutate("maker", { data: { project_id: "p2" } })).toMatchObject(denied)
    expect(await mutate("maker", { data: { project_id: "nowhere" } })).toMatchObject(denied)
    expect(await mutate("maker", { data: { title: "elsewhere" } })).toMatchObject(denied)
    expect(await title()).toBe("one")
    expect((await mutate("ada", { data: { project_id: "p2" } })).status).toBe("applied")
    expect((await db.events()).map((e) => `${e.op} ${e.scope}`)).toEqual(["DELETE p1", "INSERT p2"])
  })

  it("runs the application's triggers under the application's search path", async () => {
    expect((await mutate("editor", { data: { title: "helped" } })).status).toBe("applied")
    expect(await title()).toBe("helped")
  })

  it.each<[string, Wish, string | RegExp]>([
    ["an unknown column", { data: { colour: "red" } }, "task has no column colour"],
    ["an unknown column in base", { base: { colour: "red" }, data: { title: "x" } }, "task has no column colour"],
    ["a value of another type", { data: { due: "tomorrow-ish" } }, /invalid input syntax for type date/],
    ["a label that is not of the enum", { data: { status: "later" } }, /invalid input value for enum/],
    ["too large a number", { data: { size: 1e12 } }, /out of range/],
    ["null where it must not be", { data: { title: null } }, "title must not be empty"],
    ["a broken rule", { data: { title: "" } }, "the values break the rule title_has_letters"],
    ["a value that is taken", { data: { code: "B" } }, "code must have another value"],
    ["a value that a hidden row has, without saying whose", { data: { code: "H" } }, "code must have another value"],
    ["another key", { data: { id: TWO } }, "id cannot be set"],
    ["a generated column", { data: { len: 77 } }, "len cannot be set"],
    ["what the application's trigger refuses", { data: { title: "forbidden" } }, "that word is not wanted here"],
    ["what the application's trigger drops", { data: { title: "dropped" } }, /let nothing through/],
    ["an unknown entity", { entityCode: "tusk" }, "there is no entity 'tusk'"],
    ["an entity of the log's own", { entityCode: "_grant", data: { level: "OWNER" } }, "there is no entity '_grant'"],
  ])("is invalid with %s", async (_, wish, message) => {
    const result = await mutate("editor", wish)
    expect(result).toMatchObject({ status: "invalid", message: expect.stringMatching(message) })
    expect(await title()).toBe("one")
    expect(await db.events()).toEqual([])
  })

  it("is invalid with a reference to nothing", async () => {
    expect(await mutate("ada", { data: { project_id: "nowhere" } })).toMatchObject({ status: "invalid", message: "project_id refers to a row that does not exist" })
  })
})

describe("a creation", () => {
  const create = (user: string, entityId: string, data: Record<string, unknown>, id?: string) => mutate(user, { op: "create", entityId, data, ...(id === undefined ? {} : { id }) })

  it("fills the key from the entity id, and defaults", async () => {
    expect((await create("maker", FREE, { project_id: "p1", title: "new" })).status).toBe("applied")
    expect((await create("ada", "a\\,b,7", {}, "pair-1")).status).toBe("invalid")
    expect(await mutate("ada", { entityCode: "pair", op: "create", entityId: "a\\,b\\\\,7", data: { v: "x" } })).toMatchObject({ status: "applied" })
    expect(await db.events()).toMatchObject([{ op: "INSERT", entity_id: FREE, scope: "p1", after: { title: "new", status: "todo" } }, { entity: "pair", entity_id: "a\\,b\\\\,7", after: { a: "a,b\\", b: 7 } }])
  })

  it("needs CREATE where the row goes, said or not", async () => {
    for (const data of [{ project_id: "p2", title: "x" }, { project_id: "p2", title: "x", code: "H" }, { project_id: "p1", title: "elsewhere" }, { project_id: "nowhere", title: "x" }]) {
      expect(await create("maker", FREE, data)).toMatchObject(denied)
    }
    expect(await create("editor", FREE, { project_id: "p1", title: "x" })).toMatchObject(denied)
  })

  it("is a conflict where the row is there, if one may see it", async () => {
    expect(await create("maker", ONE, { project_id: "p1", title: "x" })).toMatchObject({ status: "conflict", current: { title: "one" } })
    expect(await create("maker", HIDDEN, { project_id: "p1", title: "x" })).toMatchObject(denied)
  })

  it("is invalid where it contradicts itself or the database", async () => {
    expect(await create("ada", FREE, { id: ONE, project_id: "p1", title: "x" })).toMatchObject({ status: "invalid", message: "id contradicts entityId" })
    expect(await create("ada", FREE.toUpperCase(), { project_id: "p1", title: "x" })).toMatchObject({ status: "invalid", message: `entityId should be written ${FREE}` })
    expect(await create("ada", "7", { project_id: "p1", title: "x" })).toMatchObject({ status: "invalid", message: expect.stringContaining("uuid") })
    expect(await create("ada", FREE, { title: "x" })).toMatchObject({ status: "invalid", message: "project_id must not be empty" })
    expect(await mutate("ada", { entityCode: "counter", op: "create", entityId: "5", data: { v: 1 } })).toMatchObject({ status: "invalid", message: "id cannot be set" })
    expect(await mutate("ada", { entityCode: "pair", op: "create", entityId: "only", data: { v: "x" } })).toMatchObject({ status: "invalid", message: expect.stringContaining("key of pair") })
  })
})

describe("a deletion", () => {
  it("needs DELETE, and minds what the user saw", async () => {
    expect(await mutate("editor", { op: "delete" })).toMatchObject(denied)
    expect(await mutate("maker", { op: "delete", base: { title: "seen long ago" } })).toMatchObject({ status: "conflict", current: { title: "one" } })
    expect((await mutate("maker", { op: "delete", base: { title: "one" } })).status).toBe("applied")
    expect(await mutate("maker", { op: "delete" })).toMatchObject(denied)
    expect(await db.events()).toMatchObject([{ op: "DELETE", entity_id: ONE, user_id: "maker" }])
  })

  it("is invalid while others refer to the row", async () => {
    await db.sql`insert into app.remark values (1, ${ONE})`
    expect(await mutate("ada", { op: "delete" })).toMatchObject({ status: "invalid", message: "the row is in use" })
  })
})

describe("a repeat", () => {
  it("is answered, not applied, and is another user's own", async () => {
    expect((await mutate("editor", { id: "twice", base: { title: "one" }, data: { title: "uno" } })).status).toBe("applied")
    expect((await mutate("editor", { id: "twice", base: { title: "one" }, data: { title: "uno" } })).status).toBe("applied")
    expect(await db.events()).toHaveLength(1)
    expect((await mutate("maker", { id: "twice", base: { title: "uno" }, data: { title: "due" } })).status).toBe("applied")
    expect(await mutate("viewer", { id: "twice", data: { title: "x" } })).toMatchObject(denied)
    expect(await db.events()).toHaveLength(1)
  })

  it("of one still under way waits for it", async () => {
    const others = Array.from({ length: 4 }, () => db.connect("tide_command"))
    const wish = JSON.stringify({ id: "at once", entityCode: "task", entityId: FREE, op: "create", data: { project_id: "p1", title: "once" } })
    const answers = await Promise.all(others.map((sql) => sql`select tide.mutate(${wish}::text::jsonb, 'maker') ->> 'status' as status`))
    expect(answers.map(([row]) => row!["status"] as unknown)).toEqual(["applied", "applied", "applied", "applied"])
    expect(await db.events()).toHaveLength(1)
  })

  it("is looked at afresh where the first was not applied", async () => {
    expect(await mutate("late", { id: "again", data: { title: "x" } })).toMatchObject(denied)
    await db.sql`select authz.grant_access('user:late', scope => 'p1', level => 'EDIT')`
    expect((await mutate("late", { id: "again", data: { title: "x" } })).status).toBe("applied")
  })

  it("is forgotten in the end", async () => {
    await mutate("editor", { id: "old", data: { size: 1 } })
    await db.sql`update tide.mutation set at = now() - interval '31 days' where id = 'old'`
    expect(await command`select tide.prune_mutations() as pruned`).toEqual([{ pruned: 1 }])
  })
})

describe("what is no mutation", () => {
  it.each<[unknown, string]>([
    [null, "a mutation is a JSON object"], [[], "a mutation is a JSON object"], [{}, "id is missing"],
    [{ id: "x" }, "entityId is missing"], [{ id: "x", entityId: "1" }, "op is create, update or delete"], [{ id: "x", entityId: "1", op: "truncate" }, "op is create, update or delete"],
    [{ id: "x", entityId: "1", op: "update", data: [] }, "data and base are objects of column values"], [{ id: "x", entityId: "1", op: "update" }, "there is no entity without a code"],
    [{ id: "x".repeat(300), entityId: "1", op: "update" }, "id is longer than 200 characters"],
  ])("%j is invalid", async (mutation, message) => {
    expect(await mutateRaw(mutation, "ada")).toMatchObject({ status: "invalid", message })
  })
})
