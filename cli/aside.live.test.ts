/** `aside` against a database in which a relay set changes aside. */
import { afterAll, beforeAll, expect, it } from "vitest"
import { openDatabase } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { tideline } from "./testing.ts"

let db: TestDatabase
const run = (line: string) => tideline(line.split(" "), { DATABASE_URL: db.server.url() })

beforeAll(async () => {
  db = await openDatabase()
  await db.sql`create table public.doc (id int primary key, project text, body text)`
  await db.sql`select tide.track('public.doc', 'doc', scope => 'project')`
  await db.sql`insert into doc values (7, 'p', 'now')`
  await db.events()
  const relay = db.connect("tide_relay")
  const change = { entity: "doc", scope: "p", operation: "UPDATE", bytes: 9 }
  await relay`select tide.note_aside(${JSON.stringify([
    { ...change, outboxId: 1, id: "7", reason: "too large" }, { ...change, outboxId: 2, id: "7", reason: "held" }, { ...change, outboxId: 3, id: "8", reason: "too large" },
  ])}::text::json)`
}, 60_000)
afterAll(() => db.stop())

it("lists what is held, brings back what is there, and says what is not", async () => {
  expect((await run("aside --json")).json()).toEqual([
    { entity: "doc", id: "7", scope: "p", changes: 2, since: expect.stringMatching(/^20/), reason: "too large" },
    { entity: "doc", id: "8", scope: "p", changes: 1, since: expect.stringMatching(/^20/), reason: "too large" },
  ])
  expect((await run("aside")).out).toMatch(/doc +7 +p +2/)
  expect(await run("aside retry doc 7")).toMatchObject({ code: 1, err: expect.stringMatching(/nothing is set aside at doc 7\.\n.*tideline aside/) })
  expect(await run("aside retry doc")).toMatchObject({ code: 2 })
  expect((await run("aside retry doc 7 --scope p --json")).json()).toMatchObject({ entity: "doc", id: "7", scope: "p", operation: "READ" })
  expect(await run("aside retry doc 8 --scope p")).toMatchObject({ code: 0, out: expect.stringContaining("its deletion goes into the log") })
  expect(await db.events()).toMatchObject([{ entity_id: "7", op: "READ", after: { id: 7, body: "now" } }, { entity_id: "8", op: "DELETE", after: null }])
  expect(await run("aside")).toMatchObject({ code: 0, out: "Nothing is set aside.\n" })
}, 30_000)
