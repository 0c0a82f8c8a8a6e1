/** `role add`, `role remove` and `track --founders`, against a database alone. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openDatabase } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { tideline } from "./testing.ts"

let db: TestDatabase
const run = (line: string) => tideline(line.split(" "), { DATABASE_URL: db.server.url(), TIDELINE_DATA: "/nonexistent" })
const members = () => db.sql`select role, member from authz.members order by role, member`

beforeAll(async () => {
  db = await openDatabase()
})
afterAll(() => db.stop())

describe("role", { timeout: 30_000 }, () => {
  it("puts users and roles into a role, and takes them out", async () => {
    expect(await run("role add builders grace")).toMatchObject({ code: 0, out: "user:grace is in builders.\n" })
    expect((await run("role add builders role:leads --json")).json()).toEqual({ role: "builders", member: "role:leads", inside: true })
    expect(await members()).toEqual([{ role: "builders", member: "role:leads" }, { role: "builders", member: "user:grace" }])
    expect(await run("role remove builders user:grace")).toMatchObject({ code: 0, out: "user:grace is no longer in builders.\n" })
    expect((await run("role remove builders role:leads --json")).json()).toEqual({ role: "builders", member: "role:leads", inside: false })
    expect(await members()).toEqual([])
  })

  it("says what is wrong: a circle, who is not in it, and words that name nobody", async () => {
    await run("role add a role:b")
    expect(await run("role add b role:a")).toMatchObject({ code: 1, err: expect.stringContaining("inside it already") })
    expect(await run("role remove a ada")).toMatchObject({ code: 1, err: expect.stringContaining("user:ada is not in a itself") })
    expect(await run("role add role:a ada")).toMatchObject({ code: 2, err: expect.stringContaining("bare name") })
    expect(await run("role add a everyone")).toMatchObject({ code: 2, err: expect.stringContaining("cannot be a member") })
    expect(await run("role add a")).toMatchObject({ code: 2 })
  })
})

describe("track --founders", { timeout: 30_000 }, () => {
  it("says who may open scopes, and only where rows are scopes", async () => {
    await db.sql.unsafe("create schema app; create table app.project (id text primary key, owner text)")
    expect((await run("track app.project --entity project --scope id --founders everyone --json")).json()).toMatchObject({ founders: "everyone" })
    expect(await db.sql`select founders from tide.tracked`).toEqual([{ founders: "everyone" }])
    expect(await run("track app.project --entity project --scope owner --founders everyone")).toMatchObject({ code: 1, err: expect.stringContaining("opens no scopes") })
    expect(await run("track app.project --entity project --scope id --founders nobody")).toMatchObject({ code: 1, err: expect.stringContaining("'nobody' is not a principal") })
    expect(await run("track app.project --entity project --scope id")).toMatchObject({ code: 0 })
    expect(await db.sql`select founders from tide.tracked`).toEqual([{ founders: null }])
  })
})
