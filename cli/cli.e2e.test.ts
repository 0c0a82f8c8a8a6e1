/** The operator's tool against everything that runs, found as an operator's is: through run.json of the data folder. */
import { Effect } from "effect"
import postgres from "postgres"
import type { Sql } from "postgres"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startStack } from "#test/support/stack.ts"
import type { TestStack } from "#test/support/stack.ts"
import { SocketClient } from "#test/support/socket-client.ts"
import { until } from "#test/support/until.ts"
import { position } from "../demo/history/player.ts"
import type { Finding } from "./doctor/finding.ts"
import { tideline } from "./testing.ts"

let stack: TestStack
let sql: Sql
const run = (line: string) => tideline(line.split(" "), { TIDELINE_DATA: stack.dataDir })

beforeAll(async () => {
  stack = await startStack()
  sql = postgres(stack.databaseUrl, { max: 2, onnotice: () => {} })
})
afterAll(async () => {
  await sql?.end()
  await stack?.stop()
})

interface Status {
  readonly hops: ReadonlyArray<{ readonly hop: string; readonly ok: boolean; readonly lagEvents: number | null }>
  readonly streams: ReadonlyArray<{ readonly name: string; readonly last: number }>
  readonly cursor: { readonly epoch: string } | null
  readonly connections: ReadonlyArray<{ readonly edge: string; readonly connections: number | null }>
  readonly processes: ReadonlyArray<{ readonly name: string; readonly pid: number; readonly port: number | null }>
  readonly databaseUrl: string
  readonly natsUrl: string
}
interface Event {
  readonly seq: number
  readonly entity: string
  readonly id: string
  readonly scope: string | null
  readonly operation: string
  readonly by: string | null
  readonly data: unknown
}

const events = (out: string): ReadonlyArray<Event> => out.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Event)
const find = async (check: string): Promise<Finding | undefined> => ((await run("doctor --json")).json() as ReadonlyArray<Finding>).find((f) => f.check === check)

describe("status", () => {
  it("tells every hop, both streams, the cursor, connections and the demo's processes", async () => {
    // Everything published, and every hop level with it.
    const status = await until(async () => {
      const { code, json } = await run("status --json")
      const found = json() as Status
      return code === 0 && found.hops.every((hop) => hop.ok && (hop.lagEvents ?? 0) === 0) && found
    }, { what: "every hop is level", deadline: 60_000, every: 200 })
    expect(status.hops.map((h) => h.hop)).toEqual(["postgres", "relay", "CHANGES", "STATE", "authz", "edge-1", "edge-2"])
    expect(status.streams.map((s) => s.name)).toEqual(["CHANGES", "STATE"])
    expect(status.streams[0]!.last).toBe(status.streams[1]!.last)
    expect(status.cursor?.epoch).toMatch(/^1-/)
    expect(status.connections.map((c) => [c.edge, c.connections])).toEqual([["edge-1", 0], ["edge-2", 0]])
    expect(status.processes.map((p) => p.name)).toEqual(expect.arrayContaining(["postgres", "nats", "relay", "authz", "command", "edge-1", "edge-2", "web"]))
    for (const { name, pid } of status.processes) expect(pid).toBe(stack.pid(name))
    expect([status.databaseUrl, status.natsUrl]).toEqual([stack.databaseUrl, stack.natsUrl])
    expect((await run("status")).out).toMatch(/relay +0 events/)
  }, 90_000)
})

describe("track, backfill, tail, untrack", () => {
  it("take a table into the log and out of it", async () => {
    await sql.unsafe(`create table public.note (id int primary key, pad text, body text); insert into public.note select n, 'p' || n % 2, 'note ' || n from generate_series(1, 2500) n`)
    expect(await run("backfill public.note")).toMatchObject({ code: 1, err: expect.stringContaining("is not tracked") })
    expect(await run("track public.note --entity note --scope paper")).toMatchObject({ code: 1, err: expect.stringMatching(/no column 'paper'[^]*Columns: id, pad, body/) })
    expect((await run("track public.note --entity note --scope pad --json")).json()).toEqual({ table: "public.note", entity: "note", scope: "pad", beforeImage: true, founders: null })
    expect((await run("backfill public.note --json")).json()).toEqual({ table: "public.note", rows: 2500, events: 2500 })
    expect((await run("backfill public.note --rate 100000 --json")).json()).toEqual({ table: "public.note", rows: 2500, events: 0 })
    expect(await run("backfill public.note --rate much")).toMatchObject({ code: 2 })
    expect(await run("track public.note --entity remark")).toMatchObject({ code: 1, err: expect.stringContaining("already tracked") })

    const read = events((await run("tail --entity note --from-seq 1 --count 2500 --json")).out)
    expect(new Set(read.map((e) => `${e.operation} ${e.id} ${e.scope}`)).size).toBe(2500)
    expect(read[0]).toMatchObject({ entity: "note", operation: "READ", data: { body: `note ${read[0]!.id}` } })
    const one = events((await run("tail --scope p1 --entity note --id 7 --since 1h --no-follow --json")).out)
    expect(one.map((e) => [e.id, e.operation])).toEqual([["7", "READ"]])
    expect(await run(`tail --from-seq ${read.at(-1)!.seq + 1_000_000} --no-follow`)).toMatchObject({ code: 0, out: "" })

    const live = run("tail --entity note --count 1 --json")
    // Written until seen: nothing tells when the tail is attached.
    let n = 0
    const writing = setInterval(() => void sql.begin(async (tx) => {
      await tx`select set_config('tide.user_id', 'ada', true)`
      await tx`update public.note set body = ${`edit ${++n}`} where id = 8`
    }), 300)
    expect(events((await live).out)[0]).toMatchObject({ id: "8", scope: "p0", operation: "UPDATE", by: "ada" })
    clearInterval(writing)

    expect(await run("untrack public.note")).toMatchObject({ code: 0 })
    expect(await run("untrack public.note")).toMatchObject({ code: 1, err: expect.stringContaining("not tracked") })
    await until(async () => {
      const after = events((await run(`tail --entity note --from-seq ${read.at(-1)!.seq + 1} --no-follow --json`)).out)
      return after.filter((e) => e.operation === "DELETE").length === 2500
    }, { what: "every row left the log", deadline: 30_000, every: 200 })
  }, 120_000)
})

describe("rebuild", () => {
  it("brings the log into line with what was written behind its back", async () => {
    await sql`alter table app.task disable trigger user`
    const [row] = await sql`update app.task set title = 'behind' where id::text = (select min(id::text) from app.task) returning id`
    await sql`select tide.track('app.task', entity => 'task', scope => 'project_id')`
    expect(await run("rebuild")).toMatchObject({ code: 2, err: expect.stringContaining("--yes") })
    const steps = (await run("rebuild --yes --json")).json() as ReadonlyArray<{ kind: string; what: string; events: number }>
    expect(steps.filter((step) => step.events > 0)).toMatchObject([{ kind: "rows", what: "task", events: 1 }])
    const [last] = events((await run(`tail --entity task --id ${String(row!["id"])} --since 1h --no-follow --json`)).out).toReversed()
    expect(last).toMatchObject({ operation: "READ", data: { title: "behind" } })
    expect(await find("rebuild")).toMatchObject({ state: "ok", found: expect.stringContaining("asked for by an operator. Complete at") })
  }, 60_000)
})

describe("grant, revoke, token", () => {
  it("give, change and take back one grant, and sign for it", async () => {
    expect(await run("grant user:zoe --scope p1 --entity task --level edit --expires 2h")).toMatchObject({ code: 0, out: expect.stringContaining("user:zoe has EDIT on every task in p1 until 20") })
    expect((await run("grant user:zoe --scope p1 --entity task --level VIEW --json")).json()).toMatchObject({ level: "VIEW", expiresAt: null })
    expect(await sql`select level, expires_at from authz.grants where principal = 'user:zoe'`).toEqual([{ level: "VIEW", expires_at: null }])
    expect(await run("revoke user:zoe --scope p1")).toMatchObject({ code: 1, err: expect.stringContaining("no grant on exactly everything in p1") })
    expect(await run("revoke user:zoe --scope p1 --entity task")).toMatchObject({ code: 0 })
    const token = (await run("token --user ada")).out.trim()
    const answer = await fetch(`${stack.edgeUrls[0]!}/v1/person`, { headers: { authorization: `Bearer ${token}` } })
    expect(answer.status).toBe(200)
  })
})

describe("sign-out", () => {
  it("ends a user's connections and tokens, or a session's, and lets a new token in", async () => {
    const ask = async (token: string) => (await fetch(`${stack.edgeUrls[0]!}/v1/person`, { headers: { authorization: `Bearer ${token}` } })).status
    const token = async (words = "") => (await run(`token --user tim${words}`)).out.trim()
    const [phone, laptop] = [await token(" --session phone"), await token(" --session laptop")]
    const client = await new SocketClient(Number(new URL(stack.edgeUrls[1]!).port)).opened()
    await client.signIn(phone)
    expect((await run("sign-out tim --session phone --json")).json()).toEqual({ user: "tim", session: "phone", at: expect.stringMatching(/Z$/) })
    expect(await client.closing()).toBe(4001)
    expect(client.frames.at(-1)).toMatchObject({ type: "ERROR", payload: { code: "signed_out" } })
    expect([await ask(phone), await ask(laptop)]).toEqual([401, 200])
    expect(await run("sign-out user:tim")).toMatchObject({ code: 0, out: expect.stringContaining("tim is signed out") })
    await until(async () => (await ask(laptop)) === 401, { what: "the edge has come to the sign-out" })
    expect(await ask(await token())).toBe(200)
    expect(await sql`select user_id, session from authz.sign_outs order by session nulls first`).toEqual([{ user_id: "tim", session: null }, { user_id: "tim", session: "phone" }])
  })
})

describe("demo history", () => {
  it("plays, goes on, and can be followed", async () => {
    expect((await run("demo history --full --until 3 --json")).json()).toMatchObject({ position: 3, commits: 3 })
    expect((await run("demo history --full --until 5 --json")).json()).toMatchObject({ position: 5, commits: 2 })
    expect(await Effect.runPromise(position(sql))).toBe(5)
    expect(await run("demo history --until 5")).toMatchObject({ code: 0, out: expect.stringContaining("played already") })
    expect(await run("demo history --rate 1 --full")).toMatchObject({ code: 2 })
    const [first] = events((await run("tail --entity file --from-seq 1 --count 1 --json")).out)
    expect(first).toMatchObject({ operation: "INSERT", by: "author-1", id: ".gitignore" })
  })
})

describe("doctor", () => {
  it("finds nothing wrong where nothing is", async () => {
    const { code, json } = await run("doctor --json")
    expect((json() as ReadonlyArray<Finding>).filter((f) => f.state !== "ok")).toEqual([])
    expect(code).toBe(0)
  })

  it("names what is, and what to do", async () => {
    await sql`alter table app.task disable trigger tide_update`
    expect(await find("tracked task")).toMatchObject({ state: "problem", found: expect.stringContaining("tide_update"), todo: expect.stringContaining("npx tideline track app.task") })
    await sql`alter table app.task enable always trigger tide_update`
    await sql`alter table app.task add column estimate integer`
    expect(await find("tracked task")).toMatchObject({ state: "warning", found: expect.stringContaining("its columns changed"), todo: expect.stringContaining("--scope project_id") })
    await sql`alter table app.task drop column estimate`
    await stack.hold("relay")
    await sql`update app.task set title = title || '!'`
    expect(await find("relay")).toMatchObject({ state: "problem", found: expect.stringContaining("nothing is published") })
    expect(await find("process relay")).toMatchObject({ state: "problem" })
    await stack.release("relay")
    await stack.hold("authz")
    expect(await find("authz")).toMatchObject({ state: "problem", todo: expect.stringContaining("services/authz/main.ts") })
    expect((await run("doctor --quiet")).code).toBe(1)
    await stack.release("authz")
    await until(async () => (await run("doctor")).code === 0, { what: "all is well again", deadline: 30_000, every: 200 })
  }, 120_000)
})

describe("with a server away", () => {
  it("status and doctor still tell of the rest", async () => {
    await stack.hold("nats")
    const { code, json } = await run("status --json")
    const { hops } = json() as Status
    expect(code).toBe(1)
    expect(hops.find((h) => h.hop === "postgres")).toMatchObject({ ok: true })
    expect(hops.find((h) => h.hop === "streams")).toMatchObject({ ok: false, lagEvents: null })
    expect(await find("nats-server")).toMatchObject({ state: "problem", todo: expect.stringContaining("NATS_URL") })
    expect(await run("tail --no-follow")).toMatchObject({ code: 1, err: expect.stringContaining("nats-server:") })
    await stack.release("nats")
    await until(async () => (await run("status")).code === 0, { what: "every hop is back", deadline: 60_000, every: 200 })
  }, 120_000)
})
