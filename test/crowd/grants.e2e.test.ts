/**
 * A user with ten thousand grants of one entity each, half of them without a scope, on the whole of Tideline: what they hold is what SQL says they may
 * view, after one more and one less, roles that overlap, a thousand lost while they were away, a new edge that remembers nothing of them, and all of
 * it; and a change of one costs no more than that one.
 */
import postgres from "postgres"
import type { Sql } from "postgres"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { SocketClient } from "#test/support/socket-client.ts"
import type { TestStack } from "#test/support/stack.ts"
import { startStack } from "#test/support/stack.ts"
import { until } from "#test/support/until.ts"
import { Client } from "../simulation/client.ts"

const GRANTS = 10_000
const SCOPES = 20

let stack: TestStack
let sql: Sql
let socket: SocketClient
/** What ada's browser holds, whatever connection brought it. */
const browser = new Client()
let read = 0

const connect = async (): Promise<void> => {
  socket = new SocketClient(Number(new URL(stack.edgeUrls[0]!).port))
  read = 0
  await socket.signIn(await stack.token("ada"))
  browser.connecting()
  browser.wished()
  const { cursor } = browser.stored
  await socket.subscribe({ entityCode: "item", ...(cursor === null ? {} : { cursor }) })
}

/** Takes in what has come; answers how many changes that was. */
const take = (): number => {
  let changes = 0
  for (; read < socket.frames.length; read++) {
    const frame = browser.receive(JSON.stringify(socket.frames[read]))
    if (frame.type === "CHANGES") changes += frame.payload.changes.length
  }
  return changes
}

/** A counter of the edge. */
const metric = async (name: string): Promise<number> => {
  const text = await (await fetch(`${stack.edgeUrls[0]}/metrics`)).text()
  return Number(new RegExp(`^tideline_edge_${name}(?:\\{[^}]*\\})? (\\S+)`, "m").exec(text)?.[1] ?? 0)
}

/** Until ada's browser holds what SQL says that she may view; answers how many changes that took. */
const settled = async (what: string): Promise<number> => {
  const rows = await sql<Array<{ id: string }>>`select id::text from crowd.item where authz.allows('ada', 'VIEW', scope, 'item', id::text)`
  const wanted = rows.map(({ id }) => `item/${id}`).sort()
  let changes = 0
  await until(
    () => {
      changes += take()
      return browser.rows().size === wanted.length && browser.live
    },
    { what, deadline: 10_000, every: 20 },
  )
  expect([...browser.rows().keys()].sort()).toEqual(wanted)
  expect(browser.complaints).toEqual([])
  return changes
}

/** Every other pair of ids is granted wherever the entity is. */
const scopeOf = (id: number) => (id % 4 < 2 ? null : `p${id % SCOPES}`)
const grant = (id: number) => sql`select authz.grant_access(principal => 'user:ada', scope => ${scopeOf(id)}, entity => 'item', entity_id => ${String(id)}, level => 'VIEW')`
const revoke = (id: number) => sql`select authz.revoke_access(principal => 'user:ada', scope => ${scopeOf(id)}, entity => 'item', entity_id => ${String(id)})`

beforeAll(async () => {
  stack = await startStack({ demo: false, edges: 1 })
  sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => {} })
  await sql.unsafe(`
    create schema crowd;
    create table crowd.item (id int primary key, scope text not null);
    select tide.track('crowd.item', entity => 'item', scope => 'scope');
    insert into crowd.item select i, 'p' || i % ${SCOPES} from generate_series(1, ${GRANTS + 2_000}) i;
    insert into authz.grants (principal, scope, entity, entity_id, level) select 'user:ada', case when i % 4 < 2 then null else 'p' || i % ${SCOPES} end, 'item', i::text, 'VIEW' from generate_series(1, ${GRANTS}) i`)
  const schema = async (): Promise<string> => (await fetch(`${stack.edgeUrls[0]}/v1/schema`, { headers: { authorization: `Bearer ${await stack.token("ada")}` } })).text()
  await until(async () => (await schema()).includes('"item"'), { what: "the edge knows the table" })
}, 60_000)
afterAll(async () => {
  socket?.end()
  await sql?.end({ timeout: 1 })
  await stack?.stop()
})

describe("a user with ten thousand grants", () => {
  it("has the first state, one more, one less", async () => {
    await connect()
    await settled("the first state")
    await grant(GRANTS + 1)
    expect(await settled("one more")).toBe(1)
    await revoke(5)
    expect(await settled("one less")).toBe(0)
    await sql`update crowd.item set scope = scope where id = 7`
  })

  it("has what a role adds, and keeps what is theirs when it goes", async () => {
    await sql`select authz.grant_access(principal => 'role:readers', scope => 'p1', entity => 'item', level => 'VIEW')`
    await sql`select authz.add_member('readers', 'ada')`
    await settled("a role's scope")
    await revoke(21)
    expect(await settled("what the role covers stays")).toBeLessThanOrEqual(1)
    await sql`select authz.remove_member('readers', 'ada')`
    await settled("the role is gone, their own grants in its scope are not")
  })

  it("is told what was lost and gained while they were away, and starts nothing over", async () => {
    take()
    socket.end()
    browser.disconnected(false)
    await sql`delete from authz.grants where principal = 'user:ada' and entity_id::int between 1000 and 1999`
    await grant(GRANTS + 2)
    await connect()
    expect(await settled("a thousand less, one more")).toBe(1)
    expect(browser.received.filter(({ type }) => type === "RESET")).toEqual([])
  })

  it("comes back to an edge that was started anew, from further back than it remembers", async () => {
    take()
    socket.end()
    browser.disconnected(false)
    const events = (await metric("events_total")) + GRANTS + 2_000 + 100
    await sql`update crowd.item set scope = scope`
    await sql`delete from authz.grants where principal = 'user:ada' and entity_id::int between 3000 and 3099`
    await until(async () => (await metric("events_total")) >= events, { what: "the edge has taken in all of it", deadline: 30_000, every: 50 })
    await stack.restart("edge-1")
    await connect()
    expect(await settled("a hundred less, and each that is left as it is now")).toBe(browser.rows().size)
    expect(await metric("replayed_total")).toBeGreaterThanOrEqual(browser.rows().size)
    expect(browser.received.filter(({ type }) => type === "RESET")).toEqual([])
  })

  it("that is cut off while it is told of a loss of hundreds is told of it again, and is not given everything again", async () => {
    take()
    const { cursor } = browser.stored
    await sql`delete from authz.grants where principal = 'user:ada' and entity_id::int between 6000 and 6499`
    // The announcement of the loss is the last that is taken in.
    const announced = () => socket.frames.findIndex((frame, i) => i >= read && frame.type === "HEARTBEAT" && frame.payload.cursor.includes("*@"))
    await until(() => announced() >= 0, { what: "the loss is announced" })
    const end = announced()
    for (; read <= end; read++) browser.receive(JSON.stringify(socket.frames[read]))
    socket.end()
    browser.disconnected(false)
    expect(browser.stored.cursor).not.toBe(cursor)
    await connect()
    expect(await settled("the loss, told again")).toBe(0)
    expect(browser.received.filter(({ type }) => type === "RESET")).toEqual([])
  })

  it("loses all of it at once, and is told in one frame", async () => {
    const told = () => browser.received.filter(({ type }) => type === "ACCESS_REVOKED").length
    const before = told()
    await sql`delete from authz.grants where principal = 'user:ada'`
    expect(await settled("nothing is left")).toBe(0)
    expect(browser.rows().size).toBe(0)
    expect(told() - before).toBe(1)
  })
})
