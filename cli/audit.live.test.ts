/** `tideline audit` and the function behind it, against a database alone: the outbox answers without a relay or a stream. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openDatabase } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { tideline } from "./testing.ts"

let db: TestDatabase
const run = (...words: ReadonlyArray<string>) => tideline(["audit", ...words], { DATABASE_URL: db.server.url(), TIDELINE_DATA: "/nonexistent" })

const as = (who: Readonly<Record<string, string>>, statement: string) =>
  db.sql.begin(async (tx) => {
    for (const [name, value] of Object.entries(who)) await tx`select set_config(${`tide.${name}`}, ${value}, true)`
    await tx.unsafe(statement)
  })

beforeAll(async () => {
  db = await openDatabase()
  await db.sql.unsafe(`
    create schema app; create table app.task (id int primary key, project text, title text, points numeric, tags text[]); select tide.track('app.task', 'task', 'project');
    create table app.lean (id int primary key, v int); select tide.track('app.lean', 'lean', before_image => false)`)
  await as({ user_id: "ada" }, `insert into app.task values (1, 'p1', 'Wash', 12345678901234567890.5, '{a}'), (2, 'p1', 'Other', 1, null)`)
  await as({ user_id: "grace", request_id: "r-7", endpoint: "/v1/tasks/1", method: "PATCH", user_agent: "Firefox\u001B[2J", ip: "203.0.113.7", mutation_id: "m-1", traceparent: "00-a-b-01" },
    `update app.task set title = 'Dry', tags = null where id = 1`)
  await db.sql`update app.task set project = 'p2' where id = 1`
  await as({ user_id: "eve" }, `delete from app.task where id = 1`)
  await db.sql.unsafe(`insert into app.lean values (1, 1); update app.lean set v = 2; update app.lean set v = 3; delete from app.lean`)
})
afterAll(() => db.stop())

describe("audit", () => {
  it("prints who, how and what, from what to what", async () => {
    const { code, out } = await run("task", "1")
    expect(code).toBe(0)
    expect(out.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "<at>")).toBe(`<at>  INSERT  in p1  by ada
    id       1
    project  "p1"
    title    "Wash"
    points   12345678901234567890.5
    tags     ["a"]

<at>  UPDATE  in p1  by grace  PATCH /v1/tasks/1  request r-7  mutation m-1  from 203.0.113.7  (Firefox\\u001b[2J)
    title  "Wash" → "Dry"
    tags   ["a"] → null

<at>  DELETE  in p1  by nobody named
    id       was 1
    project  was "p1"
    title    was "Dry"
    points   was 12345678901234567890.5
    tags     was null

<at>  INSERT  in p2  by nobody named
    id       1
    project  "p2"
    title    "Dry"
    points   12345678901234567890.5
    tags     null

<at>  DELETE  in p2  by eve
    id       was 1
    project  was "p2"
    title    was "Dry"
    points   was 12345678901234567890.5
    tags     was null
`)
  })

  it("gives JSON with every digit, of one scope and one time alone", async () => {
    const { out, json } = await run("task", "1", "--scope", "p1", "--since", "1h", "--json")
    expect(json()).toMatchObject([
      { operation: "INSERT", user: "ada", scope: "p1" },
      { operation: "UPDATE", user: "grace", requestId: "r-7", endpoint: "/v1/tasks/1", method: "PATCH", ip: "203.0.113.7", mutation: "m-1", traceparent: "00-a-b-01",
        fields: { title: { from: "Wash", to: "Dry" }, tags: { from: ["a"], to: null } } },
      { operation: "DELETE", fields: { title: { from: "Dry" } } },
    ])
    expect(out).toContain("12345678901234567890.5")
  })

  it("knows what was before from the change before, where the table keeps no image of it", async () => {
    const { json } = await run("lean", "1", "--json")
    expect((json() as ReadonlyArray<{ fields: unknown }>).map(({ fields }) => fields)).toEqual([
      { id: { to: 1 }, v: { to: 1 } }, { v: { from: 1, to: 2 } }, { v: { from: 2, to: 3 } }, { id: { from: 1 }, v: { from: 3 } }])
  })

  it("tells of access, too", async () => {
    await as({ user_id: "boss" }, `select authz.add_member('editors', 'ada')`)
    expect((await run("_member", "editors,user:ada", "--json")).json()).toMatchObject([{ operation: "INSERT", user: "boss" }])
  })

  it("ends with 1 where there is nothing, and says how far back it looked; with 2 where the words are wrong", async () => {
    expect(await run("task", "99")).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/no change of task 99\.\nIt reaches back to \d{4}-/) })
    expect(await run("task", "1", "--until", "1d", "--json")).toMatchObject({ code: 1, err: expect.stringContaining("in that time") })
    expect(await run("Task", "1")).toMatchObject({ code: 2, err: expect.stringContaining("Task is not an entity code") })
    expect(await run("task", "1", "--since", "yesterday")).toMatchObject({ code: 2, err: expect.stringContaining("--since yesterday is not a time") })
    expect((await run("task")).code).toBe(2)
    expect((await run("--help")).out).toContain("npx tideline audit <entity> <id> [options]")
  })

  it("is for those alone who may read the outbox", async () => {
    await db.sql`create role nosy login password 'test'`
    expect(await tideline(["audit", "task", "1"], { DATABASE_URL: db.server.url("nosy") })).toMatchObject({ code: 1, err: expect.stringContaining("permission denied") })
  })
})
