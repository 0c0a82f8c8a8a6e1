/** `access` against an authz that folds a log: a tree for people, the whole answer for programs. */
import { afterAll, beforeAll, expect, it } from "vitest"
import type { EdgeStack } from "#test/support/edge-stack.ts"
import { startEdgeStack } from "#test/support/edge-stack.ts"
import { tideline } from "./testing.ts"

let stack: EdgeStack
const run = (line: string) => tideline(line.split(" "), { NATS_URL: stack.nats.url() })

const grantRow = (id: string, principal: string, over: Record<string, unknown>) => ({
  entity: "_grant", id, row: { id, principal, scope: null, entity: null, entity_id: null, level: "VIEW", expires_at: null, granted_by: null, granted_at: "2026-01-02T03:04:05+00:00", ...over },
})
const memberRow = (role: string, member: string) => ({ entity: "_member", id: `${role},${member}`, row: { role, member } })

beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id" })
  await stack.write(
    grantRow("g1", "role:editors", { scope: "p1", level: "EDIT", granted_by: "boss" }),
    grantRow("g2", "user:ada", { scope: "p1", entity: "task", entity_id: "7", level: "OWNER", expires_at: "2099-01-01T00:00:00+00:00" }),
    grantRow("g3", "everyone", { entity: "task" }),
    memberRow("writers", "user:ada"), memberRow("editors", "role:writers"), memberRow("editors", "user:bo\u001bb"),
  )
  await stack.startAuthz()
}, 60_000)
afterAll(() => stack.stop())

it("tells what somebody may do and why, as a tree", async () => {
  const { code, out } = await run("access ada")
  expect(code).toBe(0)
  expect(out).toBe(`user:ada
├─ VIEW on every task
│    as everyone
│    granted 2026-01-02T03:04:05+00:00
├─ EDIT on everything in p1
│    user:ada → role:writers → role:editors
│    granted 2026-01-02T03:04:05+00:00 by boss
└─ OWNER on task 7 in p1, until 2099-01-01T00:00:00.000Z
     own grant
     granted 2026-01-02T03:04:05+00:00
`)
  expect((await run("access user:ada --scope p1 --entity task --id 7")).out).toMatch(/^user:ada has OWNER on task 7 in p1\n/)
  expect((await run("access ada --scope p2")).out).toMatch(/^user:ada has no level on all of everything in p2\n└─ VIEW on every task\n/)
  expect((await run("access ada --scope p1 --entity task --id 8 --json")).json()).toMatchObject({ level: "EDIT", grants: [{ principal: "everyone", paths: [[]] }, { principal: "role:editors", grantedBy: "boss", paths: [["writers", "editors"]] }] })
  expect(await run("access role:nobody")).toMatchObject({ code: 1, out: "role:nobody holds nothing.\n" })
})

it("tells who may do something; a name cannot steer the terminal", async () => {
  const { code, out } = await run("access --who --scope p1")
  expect(code).toBe(0)
  expect(out.split("\n").filter((line) => /^(everyone|role|user)/.test(line))).toEqual([
    "everyone  VIEW on some of it", "role:editors  EDIT", "role:writers  EDIT", "user:ada  EDIT", "user:bo\\u001bb  EDIT",
  ])
  expect(await run("access --who --entity nothing --scope p9")).toMatchObject({ code: 1, out: "Nobody holds anything in every nothing in p9.\n" })
})

it("says what is wrong with a question", async () => {
  expect(await run("access")).toMatchObject({ code: 2, err: expect.stringContaining("Neither a user nor --who") })
  expect(await run("access ada --who --scope p1")).toMatchObject({ code: 2 })
  expect(await run("access --who")).toMatchObject({ code: 2, err: expect.stringContaining("on what") })
  expect(await run("access ada --id 7")).toMatchObject({ code: 2, err: expect.stringContaining("--entity") })
})
