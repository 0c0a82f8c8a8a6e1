/** Who opens a scope owns it; who may open one; and that no scope that was somebody's is taken over. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import type postgres from "postgres"
import { openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { until } from "#test/support/until.ts"

let db: TestDatabase
let command: postgres.Sql
beforeAll(async () => {
  db = await openDatabase()
  command = db.connect("tide_command")
  await db.sql.unsafe(`
    create schema app;
    create table app.project (id text primary key, name text not null default '');
    create table app.task (id text primary key, project text not null references app.project);
    create table app.room (id int primary key, place text not null);
    create table app.zone (id bigint primary key) partition by range (id); create table app.zone_1 partition of app.zone for values from (0) to (100);
    select tide.track('app.project', 'project', scope => 'id', founders => 'everyone');
    select tide.track('app.task', 'task', scope => 'project');
    select tide.track('app.room', 'room', scope => 'place');
    select tide.track('app.zone', 'zone', scope => 'id')`)
})
afterAll(() => db.stop())
beforeEach(async () => {
  await db.sql`delete from app.task; delete from app.project; delete from app.zone; delete from authz.grants; delete from authz.members`.simple()
  await db.sql`select tide.track('app.project', 'project', scope => 'id', founders => 'everyone')`
  await db.events()
})

let next = 0
const mutate = async (user: string, entityCode: string, entityId: string, data: Readonly<Record<string, unknown>> = {}, op = "create", sql: postgres.ISql = command): Promise<Readonly<Record<string, unknown>>> => {
  const [row] = await sql<Array<{ result: Readonly<Record<string, unknown>> }>>`select tide.mutate(${JSON.stringify({ id: `m${next++}`, entityCode, entityId, op, data })}::text::jsonb, ${user}) as result`
  return row!.result
}
const applied = { status: "applied" }
const denied = { status: "denied", message: "no such row, or not allowed" }
const grants = () => db.sql`select principal, scope, entity, entity_id, level, expires_at, granted_by from authz.grants order by principal, scope`
const owner = (user: string, scope: string) => ({ principal: `user:${user}`, scope, entity: null, entity_id: null, level: "OWNER", expires_at: null, granted_by: user })

describe("who creates the row of a scope", () => {
  it("owns it, in the same transaction, by mutation or in the application's own SQL", async () => {
    expect(await mutate("ada", "project", "p1")).toMatchObject(applied)
    const events = await db.events()
    expect(events.map((e) => [e.entity, e.op, e.user_id])).toEqual(expect.arrayContaining([["_grant", "INSERT", "ada"], ["project", "INSERT", "ada"]]))
    expect(new Set(events.map((e) => e.xid)).size).toBe(1)
    await db.sql.begin(async (tx) => {
      await tx`set local tide.user_id = 'bob'`
      await tx`insert into app.project values ('p2'), ('p3')`
      await tx`insert into app.zone values (7)`
    })
    expect(await grants()).toEqual([owner("ada", "p1"), owner("bob", "7"), owner("bob", "p2"), owner("bob", "p3")])
    expect(await mutate("ada", "task", "t1", { project: "p1" })).toMatchObject(applied)
    expect(await mutate("bob", "task", "t2", { project: "p1" })).toMatchObject(denied)
  })

  it("is nobody where nobody is named, and owns nothing where a row is not a scope", async () => {
    await db.sql`insert into app.project values ('p1')`
    await db.sql.begin(async (tx) => void (await tx`set local tide.user_id = 'bob'`, await tx`insert into app.room values (1, 'here')`))
    expect(await grants()).toEqual([])
  })

  it("owns it also where they were granted CREATE, but not where somebody was granted something there already", async () => {
    await db.sql`select tide.track('app.project', 'project', scope => 'id'), authz.grant_access('user:root', level => 'CREATE'), authz.grant_access('user:bob', scope => 'p2', level => 'VIEW')`
    expect(await mutate("root", "project", "p1")).toMatchObject(applied)
    expect(await mutate("root", "project", "p2")).toMatchObject(applied)
    expect((await grants()).filter((g) => g["level"] === "OWNER")).toEqual([owner("root", "p1")])
  })
})

describe("founders", () => {
  it("may create rows of new scopes and nothing else without a grant", async () => {
    expect(await mutate("ada", "project", "p1", { name: "first" })).toMatchObject(applied)
    expect(await mutate("eve", "project", "p1", { name: "hers" })).toMatchObject(denied)
    expect(await mutate("eve", "project", "p1", { name: "hers" }, "update")).toMatchObject(denied)
    expect(await mutate("eve", "task", "t1", { project: "p1" })).toMatchObject(denied)
    expect(await mutate("eve", "zone", "1")).toMatchObject(denied)
  })

  it("are those of the principal that was named, through roles too, and nobody else", async () => {
    await db.sql`select tide.track('app.project', 'project', scope => 'id', founders => 'role:staff'), authz.add_member('leads', 'ada'), authz.add_member('staff', 'role:leads')`
    expect(await mutate("ada", "project", "p1")).toMatchObject(applied)
    expect(await mutate("eve", "project", "p2")).toMatchObject(denied)
    await db.sql`select tide.track('app.project', 'project', scope => 'id')`
    expect(await mutate("ada", "project", "p3")).toMatchObject(denied)
    expect(await grants()).toEqual([owner("ada", "p1")])
  })

  it("do not take over a scope that some grant names, though its row is gone", async () => {
    expect(await mutate("ada", "project", "p1")).toMatchObject(applied)
    expect(await mutate("ada", "project", "p1", {}, "delete")).toMatchObject(applied)
    expect(await mutate("eve", "project", "p1")).toMatchObject(denied)
    expect(await mutate("ada", "project", "p1")).toMatchObject(applied)
    expect(await grants()).toEqual([owner("ada", "p1")])
  })

  it("are answered in the same words whether a scope is somebody's or its row is hidden", async () => {
    await db.sql`insert into app.project values ('hidden')`
    await db.sql`select authz.grant_access('user:bob', scope => 'named', level => 'VIEW')`
    const answers = [await mutate("eve", "project", "hidden"), await mutate("eve", "project", "named")]
    expect(answers.map((a) => ({ ...a, id: "" }))).toEqual([{ ...denied, id: "" }, { ...denied, id: "" }])
  })

  it("and whoever grants in the same scope at once wait for each other: the log has them in the order that was decided", async () => {
    const [one, other] = [db.connect(), db.connect()]
    const [session] = await other<Array<{ pid: number }>>`select pg_backend_pid() as pid`
    const blocked = () => until(async () => (await db.sql`select from pg_locks where pid = ${session!.pid} and not granted`).length > 0, { what: "the second to wait" })
    const first = await one.begin(async (tx) => {
      await tx`select authz.grant_access('user:bob', scope => 'p1', level => 'VIEW')`
      const late = mutate("ada", "project", "p1", {}, "create", other)
      void late.catch(() => {})
      await blocked()
      return { late }
    })
    expect(await first.late).toMatchObject(denied)
    const second = await one.begin(async (tx) => {
      expect(await mutate("ada", "project", "p2", {}, "create", tx)).toMatchObject(applied)
      const late = other`select authz.grant_access('user:bob', scope => 'p2', level => 'VIEW')`.execute()
      void late.catch(() => {})
      await blocked()
      return { late }
    })
    await second.late
    expect((await db.events("_grant")).map((e) => [e.after!["principal"], e.after!["scope"]])).toEqual([["user:bob", "p1"], ["user:ada", "p2"], ["user:bob", "p2"]])
  })
})

describe("tracking", () => {
  it("refuses founders where rows are not scopes, and principals that are none", async () => {
    expect(await refusal(db.sql`select tide.track('app.room', 'room', scope => 'place', founders => 'everyone')`)).toMatchObject({ message: expect.stringContaining("opens no scopes"), hint: expect.stringContaining("whole key") })
    expect(await refusal(db.sql`select tide.track('app.project', 'project', scope => 'id', founders => 'all')`)).toMatchObject({ message: expect.stringContaining("'all' is not a principal") })
  })

  it("names a table whose trigger is gone, and untracking takes it along", async () => {
    await db.sql`drop trigger tide_found on app.project`
    expect(await db.sql`select entity, what from tide.outdated()`).toEqual([{ entity: "project", what: "who opens a scope does not own it: its trigger is gone or disabled" }])
    // Nobody becomes an owner, so no founder gets in.
    expect(await mutate("ada", "project", "p1")).toMatchObject(denied)
    await db.sql`select tide.track('app.project', 'project', scope => 'id', founders => 'everyone')`
    expect(await db.sql`select entity from tide.outdated()`).toEqual([])
    await db.sql.unsafe("create table app.side (id text primary key); select tide.track('app.side', 'side', scope => 'id'), tide.untrack('app.side')")
    expect(await db.sql`select tgname from pg_trigger where tgrelid = 'app.side'::regclass`).toEqual([])
    await db.sql`select tide.track('app.side', 'side')`
    expect(await db.sql`select tgname from pg_trigger where tgrelid = 'app.side'::regclass and tgname = 'tide_found'`).toEqual([])
  })
})
