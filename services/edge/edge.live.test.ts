/** Edges with a real nats-server and a real authz: what a client is told, whatever it does and whatever happens to it. */
import { SignJWT } from "jose"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { formatCursor, parseCursor, viewToken } from "#protocol/cursor.ts"
import { FRAME_UP_BYTES } from "#protocol/limits.ts"
import type { EdgeStack, TestEdge } from "#test/support/edge-stack.ts"
import { SECRET, startEdgeStack } from "#test/support/edge-stack.ts"
import { SocketClient } from "#test/support/socket-client.ts"
import { until } from "#test/support/until.ts"

let stack: EdgeStack
let one: TestEdge
let two: TestEdge
const clients: Array<SocketClient> = []
let scopes = 0

/** A scope that no other test knows, which `ada` may see. */
const freshScope = async (): Promise<string> => {
  const scope = `s${++scopes}`
  await stack.grant("user:ada", { scope })
  return scope
}

const dial = (edge: TestEdge, options: ConstructorParameters<typeof SocketClient>[1] = {}): SocketClient => {
  const client = new SocketClient(edge.port, options)
  clients.push(client)
  return client
}

const signedIn = async (edge: TestEdge, user = "ada"): Promise<SocketClient> => {
  const client = dial(edge)
  await client.signIn(await stack.token(user))
  return client
}

const task = (scope: string, id: string, title: unknown, over: Record<string, unknown> = {}) => ({ entity: "task", scope, id, row: title === null ? null : { id, title }, ...over })

beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id", comment: "project_id", person: null })
  await stack.startAuthz()
  one = await stack.startEdge({ drainMs: 100 })
  two = await stack.startEdge({ drainMs: 100 })
})
afterAll(async () => {
  for (const client of clients) client.end()
  await stack.stop()
})

describe("a first visit", () => {
  it("gets the state, each row once and without what is gone, then LIVE, then what happens", async () => {
    const scope = await freshScope()
    await stack.write(task(scope, "a", 1), task(scope, "b", 1))
    await stack.write(task(scope, "b", 2))
    await stack.write(task(scope, "gone", 1))
    const last = await stack.write(task(scope, "gone", null))
    const client = await signedIn(one)
    const live = await client.subscribe({ entityCode: "task", scopes: [scope] })
    expect(client.changes()).toEqual([`task/a@${last - 4}`, `task/b@${last - 2}`])
    const changes = client.frames.find((frame) => frame.type === "CHANGES")!
    expect(changes.payload).toMatchObject({ from: 0, more: true, progress: { done: 3, of: 3 } })
    expect(live.payload.from).toBe(changes.payload.to)
    expect(live.payload.to).toBeGreaterThanOrEqual(last)
    const seq = await stack.write(task(scope, "a", 3, { user: "grace", mutation: "m-1" }))
    const frame = await client.next("CHANGES")
    expect(frame.payload).toMatchObject({
      from: live.payload.to,
      to: seq,
      changes: [{ entityCode: "task", entityId: "a", scope, operation: "INSERT", version: seq, data: { id: "a", title: 3 }, by: "grace", mutationId: "m-1" }],
    })
    expect(frame.payload).not.toHaveProperty("more")
  })

  it("gets a transaction in one frame, whatever it touched, and nothing of what it may not see or did not ask for", async () => {
    const scope = await freshScope()
    const client = await signedIn(one)
    await client.subscribe({ subscriptions: [{ entityCode: "task", scopes: [scope] }, { entityCode: "comment", scopes: [scope], entityIds: ["c1"] }] })
    const last = await stack.write(task(scope, "a", 1), task("elsewhere", "x", 1), { entity: "comment", scope, id: "c1", row: {} }, { entity: "comment", scope, id: "c2", row: {} })
    const { payload } = await client.next("CHANGES")
    expect(payload.changes.map((change) => change.entityId)).toEqual(["a", "c1"])
    expect(payload.to).toBe(last)
  })

  it("counts subscriptions, and forgets what it unsubscribes", async () => {
    const scope = await freshScope()
    await stack.write(task(scope, "a", 1))
    const client = await signedIn(one)
    client.send({ type: "SUBSCRIBE", payload: { entityCode: "task", scopes: [scope] } })
    client.send({ type: "SUBSCRIBE", payload: { entityCode: "comment", scopes: [scope] } })
    expect((await client.next("SUBSCRIBED")).payload.count).toBe(1)
    expect((await client.next("SUBSCRIBED")).payload.count).toBe(2)
    await client.next("LIVE")
    client.send({ type: "UNSUBSCRIBE", payload: { entityCode: "task" } })
    expect((await client.next("ACCESS_REVOKED")).payload).toEqual({ entityCode: "task", scope })
    await client.next("LIVE")
    client.send({ type: "UNSUBSCRIBE_ALL" })
    expect((await client.next("SUBSCRIBED")).payload.count).toBe(0)
    await client.next("LIVE")
  })

  it("in mode invalidate is told which rows changed, not how", async () => {
    const scope = await freshScope()
    await stack.write(task(scope, "a", 1))
    const client = await signedIn(one)
    await client.subscribe({ entityCode: "task", scopes: [scope], mode: "invalidate" })
    const seq = await stack.write(task(scope, "a", null))
    await until(() => client.frames.at(-1)?.type === "INVALIDATE", { what: "an INVALIDATE" })
    const told = client.frames.flatMap((frame) => (frame.type === "INVALIDATE" ? frame.payload.changes : []))
    expect(told).toEqual([
      { entityCode: "task", entityId: "a", action: "CREATE", version: seq - 1 },
      { entityCode: "task", entityId: "a", action: "DELETE", version: seq },
    ])
    expect(client.changes()).toEqual([])
  })
})

describe("a resume", () => {
  it("gets what it missed and no more, from another edge, from the ring alone", async () => {
    const scope = await freshScope()
    await stack.write(task(scope, "a", 1), task(scope, "b", 1))
    const first = await signedIn(one)
    await first.subscribe({ entityCode: "task", scopes: [scope] })
    const { cursor } = first
    first.end()
    await stack.write(task(scope, "a", 2))
    const last = await stack.write(task(scope, "a", 3), task(scope, "c", 1))
    const replayed = await metric(two, "tideline_edge_replay_seconds_count")
    const again = await signedIn(two)
    await again.subscribe({ entityCode: "task", scopes: [scope], cursor })
    expect(again.changes()).toEqual([`task/a@${last - 1}`, `task/c@${last}`])
    expect(await metric(two, "tideline_edge_replay_seconds_count")).toBe(replayed)
  })

  it("reads STATE where the ring does not reach back", async () => {
    const scope = await freshScope()
    await stack.write(task(scope, "a", 1), task(scope, "b", 1))
    const first = await signedIn(one)
    await first.subscribe({ entityCode: "task", scopes: [scope] })
    first.end()
    await stack.write(task(scope, "a", null))
    const last = await stack.write(task(scope, "c", 1))
    await stack.write(...Array.from({ length: 30 }, (_, i) => task("elsewhere", `n${i}`, 1)))
    const three = await stack.startEdge({ warmEvents: 5, drainMs: 0 })
    const again = await signedIn(three)
    await again.subscribe({ entityCode: "task", scopes: [scope], cursor: first.cursor })
    expect(again.changes()).toEqual([`task/a@${last - 1}`, `task/c@${last}`])
    await three.stop()
  })

  it("with more subscriptions than before gets the new ones whole, beside the flow", async () => {
    const scope = await freshScope()
    const seq = await stack.write(task(scope, "a", 1), { entity: "comment", scope, id: "c1", row: { n: 1 } })
    const first = await signedIn(one)
    await first.subscribe({ entityCode: "task", scopes: [scope] })
    const { cursor, position } = first
    first.end()
    const again = await signedIn(two)
    await again.subscribe({ subscriptions: [{ entityCode: "task", scopes: [scope] }, { entityCode: "comment", scopes: [scope] }], cursor })
    expect(again.changes()).toEqual([`comment/c1@${seq}`])
    expect(again.frames.find((frame) => frame.type === "CHANGES")!.payload).toMatchObject({ from: position, to: position })
  })

  it("of somebody who lost access meanwhile is told to forget first", async () => {
    const scope = await freshScope()
    await stack.write(task(scope, "a", 1))
    const first = await signedIn(one)
    await first.subscribe({ entityCode: "task" })
    first.end()
    await stack.revoke("user:ada", { scope })
    await stack.write(task(scope, "a", 2))
    const again = await signedIn(two)
    await again.subscribe({ entityCode: "task", cursor: first.cursor })
    expect(again.frames.filter((frame) => frame.type === "ACCESS_REVOKED").map((frame) => frame.payload)).toEqual([{ entityCode: "task", scope }])
    expect(again.changes().filter((change) => change.startsWith("task/a@"))).toEqual([])
  })

  it.each([
    ["garbage", () => "garbage"],
    ["the future", () => formatCursor({ epoch: "1-aa", seq: 99_999_999, view: viewToken([{ entity: "task", scope: null, id: null }]) })],
    ["another epoch", () => formatCursor({ epoch: "9-zz", seq: 1, view: viewToken([]) })],
    ["a view cut short", () => `1.1-aa.3.~0123456789abcdef`],
  ])("with a cursor of %s starts over", async (_, cursor) => {
    const scope = await freshScope()
    const seq = await stack.write(task(scope, "a", 1))
    const client = await signedIn(one)
    await client.subscribe({ entityCode: "task", scopes: [scope], cursor: cursor() })
    expect(client.frames.filter((frame) => frame.type === "RESET")).toHaveLength(1)
    expect(client.changes()).toEqual([`task/a@${seq}`])
    expect(client.frames.find((frame) => frame.type === "CHANGES")!.payload.from).toBe(0)
  })
})

describe("access", () => {
  it("granted comes with its state, revoked ends at once, and others notice nothing", async () => {
    const scope = await freshScope()
    const seq = await stack.write(task(scope, "a", 1))
    const ada = await signedIn(one)
    await ada.subscribe({ entityCode: "task", scopes: [scope] })
    const grace = await signedIn(one, "grace")
    await grace.subscribe({ entityCode: "task", scopes: [scope] })
    expect(grace.changes()).toEqual([])
    await stack.grant("user:grace", { scope })
    await grace.next("LIVE")
    expect(grace.changes()).toEqual([`task/a@${seq}`])
    const lives = ada.frames.filter((frame) => frame.type === "LIVE").length
    const revoked = await stack.revoke("user:grace", { scope })
    await stack.write(task(scope, "a", 2))
    expect((await grace.next("ACCESS_REVOKED")).payload).toEqual({ entityCode: "task", scope })
    await grace.next("LIVE")
    await ada.next("CHANGES")
    expect(grace.changes().filter((change) => Number(change.split("@")[1]) > revoked)).toEqual([])
    expect(ada.frames.filter((frame) => frame.type === "LIVE").length).toBe(lives)
  })

  it("revoked in the transaction that changes rows: nothing of that transaction is told", async () => {
    const scope = await freshScope()
    const grant = { id: `user:ada:${scope}:null:null`, principal: "user:ada", scope, entity: null, entity_id: null, level: "VIEW", expires_at: null }
    const ada = await signedIn(one)
    await ada.subscribe({ entityCode: "task", scopes: [scope] })
    await stack.write(task(scope, "a", 1), { entity: "_grant", id: grant.id, row: null, before: grant }, task(scope, "b", 1))
    await ada.next("ACCESS_REVOKED")
    await ada.next("LIVE")
    expect(ada.changes()).toEqual([])
  })

  it("that runs out ends when it does", async () => {
    const scope = `s${++scopes}`
    await stack.write(task(scope, "a", 1))
    await stack.grant("user:linus", { scope, expires_at: new Date(Date.now() + 700).toISOString() })
    const linus = await signedIn(one, "linus")
    await linus.subscribe({ entityCode: "task", scopes: [scope] })
    expect(linus.changes()).toHaveLength(1)
    expect((await linus.next("ACCESS_REVOKED")).payload).toEqual({ entityCode: "task", scope })
  })
})

describe("a slow client", () => {
  it("leaves the live flow without cost, and has everything when it has read on", async () => {
    const scope = await freshScope()
    const client = await signedIn(one)
    await client.subscribe({ entityCode: "task", scopes: [scope] })
    const slow = await metric(one, "tideline_edge_slow_total")
    client.socket.pause()
    const text = "x".repeat(200_000)
    let written = 0
    while ((await metric(one, "tideline_edge_slow_total")) === slow && written < 400) await stack.write(task(scope, `t${written++ % 7}`, text))
    expect(written).toBeLessThan(400)
    for (let i = 0; i < 20; i++) await stack.write(task(scope, `t${i % 7}`, `last ${i}`))
    const heard = client.frames.length
    client.socket.resume()
    await client.next("LIVE")
    const newest = new Map(
      client.frames.flatMap((frame) => (frame.type === "CHANGES" ? frame.payload.changes.map((change) => [change.entityId, change.data?.["title"]] as const) : [])),
    )
    expect(Object.fromEntries(newest)).toEqual({ t0: "last 14", t1: "last 15", t2: "last 16", t3: "last 17", t4: "last 18", t5: "last 19", t6: "last 13" })
    expect(client.frames.length).toBeGreaterThan(heard)
    expectContinuous(client)
  })
})

describe("bad input", () => {
  it.each([
    ["not JSON", "{", "malformed"],
    ["JSON that is no frame", "[]", "malformed"],
    ["an unknown type", { type: "SHOUT", payload: {} }, "unknown_type"],
    ["a known type with a wrong payload", { type: "SUBSCRIBE", payload: { entityCode: 7 } }, "malformed"],
    ["a mutation without its fields", { type: "MUTATE", payload: { mutations: [{ id: "m" }] } }, "malformed"],
    ["a frame above the limit", `"${"x".repeat(FRAME_UP_BYTES)}"`, "too_large"],
  ])("%s ends the connection with 4000", async (_, frame, code) => {
    const client = await signedIn(one)
    client.send(frame)
    expect((await client.next("ERROR")).payload.code).toBe(code)
    expect(await client.closing()).toBe(4000)
  })

  it("a binary frame, and text that is not UTF-8, end it with 4000", async () => {
    for (const binary of [true, false]) {
      const client = await signedIn(one)
      client.socket.send(Buffer.from([0xff, 0xfe, 0x80]), { binary })
      expect((await client.next("ERROR")).payload.code).toBe("malformed")
      expect(await client.closing()).toBe(4000)
    }
  })

  it.each([
    ["SUBSCRIBE", { entityCode: "task" }],
    ["MUTATE", { mutations: [{ id: "m", entityCode: "task", entityId: "a", op: "delete" }] }],
    ["PING", {}],
  ])("%s before AUTH ends it with 4001", async (type, payload) => {
    const client = await dial(one).opened()
    client.send({ type, payload })
    expect((await client.next("ERROR")).payload.code).toBe("unauthorised")
    expect(await client.closing()).toBe(4001)
  })

  it("a wrong token, an unsigned one, another algorithm's, an expired one end it with 4001", async () => {
    const good = await stack.token("ada")
    const [, payload, signature] = good.split(".")
    const unsigned = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url")}.${payload}.`
    const renamed = `${Buffer.from('{"alg":"RS256","typ":"JWT"}').toString("base64url")}.${payload}.${signature}`
    const expired = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJleHAiOjF9.x"
    for (const token of ["wrong", `${good}x`, unsigned, renamed, expired]) {
      const client = await dial(one).opened()
      client.send({ type: "AUTH", payload: { token } })
      expect((await client.next("ERROR")).payload.code).toBe("unauthorised")
      expect(await client.closing()).toBe(4001)
    }
  })

  it("an entity that is not tracked, in a frame with others, changes nothing, and the connection stays", async () => {
    const scope = await freshScope()
    const client = await signedIn(one)
    client.send({ type: "SUBSCRIBE", payload: { subscriptions: [{ entityCode: "task", scopes: [scope] }, { entityCode: "_entity" }] } })
    expect((await client.next("ERROR")).payload.code).toBe("not_found")
    client.send({ type: "SUBSCRIBE", payload: { entityCode: "nothing" } })
    expect((await client.next("ERROR")).payload.code).toBe("not_found")
    await client.subscribe({ entityCode: "comment", scopes: [scope] })
    expect(client.frames.findLast((frame) => frame.type === "SUBSCRIBED")!.payload.count).toBe(1)
  })

  it("ids with dots, blanks, wildcards, quotes, other alphabets and a thousand characters are just ids", async () => {
    const scope = await freshScope()
    const ids = ["a.b", "a b", "*", ">", "_", "%", "日本", "🦆", '"quoted"', "\\", "x".repeat(1_000), "line\nbreak"]
    await stack.write(...ids.map((id) => task(scope, id, 1)))
    await stack.write(task(scope, "other", 1))
    const client = await signedIn(one)
    await client.subscribe({ entityCode: "task", scopes: [scope], entityIds: ids })
    const told = client.frames.flatMap((frame) => (frame.type === "CHANGES" ? frame.payload.changes.map((change) => change.entityId) : []))
    expect(told).toEqual(ids)
    await stack.write(task(scope, "a.b", 2), task(scope, "a", 2))
    expect((await client.next("CHANGES")).payload.changes.map((change) => change.entityId)).toEqual(["a.b"])
  })

  it("an id that cannot be one is refused, and nothing of its frame counts", async () => {
    const client = await signedIn(one)
    for (const id of ["x".repeat(5_000), "a\0b", "\uD800"]) {
      client.send({ type: "SUBSCRIBE", payload: { entityCode: "task", entityIds: ["fine", id] } })
      expect((await client.next("ERROR")).payload.code).toBe("malformed")
    }
    client.send({ type: "SUBSCRIBE", payload: { entityCode: "task", entityIds: ["fine"], scopes: [] } })
    expect((await client.next("SUBSCRIBED")).payload.count).toBe(1)
  })

  it("too many ids and scopes are refused", async () => {
    const client = await signedIn(one)
    const many = Array.from({ length: 200 }, (_, i) => `n${i}`)
    client.send({ type: "SUBSCRIBE", payload: { entityCode: "task", entityIds: many, scopes: many } })
    expect((await client.next("ERROR")).payload.code).toBe("too_large")
  })

  it("a flood is told to wait, then ended with 4008", async () => {
    const client = await signedIn(one)
    for (let i = 0; i < 600; i++) client.send({ type: "PING" })
    expect((await client.next("ERROR")).payload).toMatchObject({ code: "too_many", retryAfter: 1 })
    expect(await client.closing()).toBe(4008)
  })

  it("mutations that nobody answers are unavailable, and those that cannot be are invalid", async () => {
    const client = await signedIn(one)
    const mutations = [
      { id: "m1", entityCode: "Not a code", entityId: "a", op: "create", data: {} },
      { id: "m2", entityCode: "task", entityId: "x".repeat(5_000), op: "delete" },
      { id: "m3", entityCode: "task", entityId: "a", op: "delete" },
    ]
    client.send({ type: "MUTATE", payload: { mutations } })
    expect((await client.next("MUTATED")).payload.results.map(({ id, status }) => [id, status])).toEqual([["m1", "invalid"], ["m2", "invalid"]])
    expect((await client.next("ERROR")).payload).toMatchObject({ code: "unavailable", retryAfter: 1 })
  })
})

describe("the front door", () => {
  it("refuses pages of other origins with 4003", async () => {
    const client = dial(one, { origin: "https://evil.example" })
    expect(await client.closing()).toBe(4003)
    const own = dial(one, { origin: "http://localhost:5173" })
    await own.signIn(await stack.token("ada"))
  })

  it("refuses other versions with 4011, and lets simple tools in", async () => {
    expect(await dial(one, { query: "?v=2" }).closing()).toBe(4011)
    const other = new WebSocket(`ws://127.0.0.1:${one.port}/ws`, ["tideline.v2"])
    other.on("error", () => {})
    // The library refuses an answer without its subprotocol by itself; the edge's close frame says why.
    await new Promise((resolve) => other.once("close", resolve))
    const simple = dial(one, { protocols: [], query: `?v=1&token=${await stack.token("ada")}` })
    await simple.next("AUTH_SUCCESS")
  })

  it("sends its connections away when it ends", async () => {
    const edge = await stack.startEdge({ drainMs: 50 })
    const some = await Promise.all([signedIn(edge), signedIn(edge), signedIn(edge)])
    await edge.stop()
    expect(await Promise.all(some.map((client) => client.closing()))).toEqual([4010, 4010, 4010])
  })

  it("warns of the end of a token and ends with it, and waits for AUTH only so long", async () => {
    const seconds = Math.floor(Date.now() / 1_000)
    const short = await new SignJWT({ sub: "ada", exp: seconds + 2 }).setProtectedHeader({ alg: "HS256" }).sign(Buffer.from(SECRET))
    const [client, silent] = [dial(one), await dial(one).opened()]
    await client.signIn(short)
    expect((await client.next("TOKEN_EXPIRING_SOON")).payload.expiresIn).toBeLessThanOrEqual(2)
    expect(await client.closing()).toBe(4002)
    expect(Date.now() / 1_000).toBeGreaterThanOrEqual(seconds + 2)
    expect(await silent.closing()).toBe(4001)
  })

  it("takes another token of the same user in place, and not another user's", async () => {
    const client = await signedIn(one)
    client.send({ type: "TOKEN_REFRESH", payload: { token: await stack.token("grace") } })
    expect((await client.next("ERROR")).payload.code).toBe("unauthorised")
    client.send({ type: "TOKEN_REFRESH", payload: { token: await stack.token("ada") } })
    client.send({ type: "PING" })
    await client.next("PONG")
  })
})

describe("HTTP", () => {
  const get = async (path: string, user: string | null = "ada") =>
    fetch(`http://127.0.0.1:${one.port}${path}`, { headers: user === null ? {} : { authorization: `Bearer ${await stack.token(user)}` } })

  it("serves state in pages, one row, its history, schemas", async () => {
    const scope = await freshScope()
    for (const id of ["h1", "h2", "h3", "h4"]) await stack.write(task(scope, id, 1))
    await stack.write(task(scope, "h2", null))
    const seq = await stack.write(task(scope, "h1", 2, { before: {}, user: "grace" }))
    const page = (await (await get(`/v1/task?scope=${scope}&limit=2`)).json()) as { items: ReadonlyArray<{ entityId: string }>; next: number }
    expect(page.items.map((item) => item.entityId)).toEqual(["h3", "h4"])
    const rest = (await (await get(`/v1/task?scope=${scope}&limit=2&after=${page.next}`)).json()) as typeof page
    expect(rest).toMatchObject({ items: [{ entityCode: "task", entityId: "h1", scope, version: seq, data: { id: "h1", title: 2 }, by: "grace" }], next: null })
    expect(await (await get("/v1/task/h1")).json()).toMatchObject({ version: seq })
    expect((await get("/v1/task/h2")).status).toBe(404)
    const { items } = (await (await get("/v1/task/h1/history")).json()) as { items: ReadonlyArray<{ operation: string }> }
    expect(items.map((item) => item.operation)).toEqual(["INSERT", "UPDATE"])
    expect(await (await get("/v1/schema")).json()).toMatchObject({ entities: { task: { scopeColumn: "project_id" }, person: { scopeColumn: null } } })
  })

  it("never tells whether a hidden row exists", async () => {
    const scope = await freshScope()
    await stack.write(task(scope, "secret-row", 1))
    const [hidden, absent] = await Promise.all([get("/v1/task/secret-row", "nobody"), get("/v1/task/no-such-row", "nobody")])
    expect([hidden.status, await hidden.text()]).toEqual([404, await absent.text()])
    expect(await (await get(`/v1/task?scope=${scope}`, "nobody")).json()).toEqual({ items: [], next: null })
    expect((await get("/v1/task", null)).status).toBe(401)
    expect((await get("/v1/nothing")).status).toBe(404)
    expect((await get("/v1/task?limit=x")).status).toBe(400)
  })

  it("says how it is", async () => {
    expect((await get("/healthz", null)).status).toBe(200)
    expect((await get("/readyz", null)).status).toBe(200)
    expect(await (await get("/metrics", null)).text()).toContain("tideline_edge_connections")
    const demo = await fetch(`http://127.0.0.1:${one.port}/v1/demo/token`, { method: "POST", body: '{"user":"ada"}' })
    expect(await demo.json()).toHaveProperty("token")
  })
})

describe("when something is away", () => {
  it("nothing is decided open: without authz a connection waits, and goes on when it is back", async () => {
    const lonely = await startEdgeStack({ task: "project_id" })
    try {
      await lonely.grant("user:ada", { scope: "p1" })
      const seq = await lonely.write(task("p1", "a", 1))
      const edge = await lonely.startEdge({ drainMs: 0 })
      const client = await dial(edge).opened()
      client.send({ type: "AUTH", payload: { token: await lonely.token("ada") } })
      client.send({ type: "SUBSCRIBE", payload: { entityCode: "task" } })
      expect((await client.next("ERROR")).payload).toMatchObject({ code: "unavailable", retryAfter: 1 })
      await lonely.startAuthz()
      await client.next("AUTH_SUCCESS")
      await client.next("LIVE")
      expect(client.changes()).toEqual([`task/a@${seq}`])
    } finally {
      await lonely.stop()
    }
  })

  it("who was granted more than one message holds is told so, with when it is looked at again, and goes on when grants have shrunk", async () => {
    const lonely = await startEdgeStack({ task: "project_id" })
    try {
      await lonely.startAuthz({ viewBytes: 200 })
      const edge = await lonely.startEdge({ drainMs: 0 })
      const connect = async () => {
        const client = await dial(edge).opened()
        client.send({ type: "AUTH", payload: { token: await lonely.token("ada") } })
        client.send({ type: "SUBSCRIBE", payload: { entityCode: "task" } })
        return client
      }
      const scopes = Array.from({ length: 10 }, (_, i) => `a-project-with-a-long-name-${i}`)
      await lonely.grant("user:ada", { scope: scopes[0]! })
      const seq = await lonely.write(task(scopes[0]!, "a", 1))
      const client = await connect()
      await client.next("LIVE")
      for (const scope of scopes.slice(1)) await lonely.grant("user:ada", { scope })
      const tooLarge = { code: "too_large", hint: expect.stringContaining("grant scopes") as string, retryAfter: 10 }
      expect((await client.next("ERROR")).payload).toMatchObject(tooLarge)
      const another = await connect()
      expect((await another.next("ERROR")).payload).toMatchObject(tooLarge)
      expect(another.changes()).toEqual([])
      expect(await (await fetch(`http://127.0.0.1:${edge.port}/v1/task`, { headers: { authorization: `Bearer ${await lonely.token("ada")}` } })).json()).toMatchObject({ code: "too_large" })
      for (const scope of scopes.slice(1)) await lonely.revoke("user:ada", { scope })
      const later = await connect()
      await later.next("LIVE")
      expect(later.changes()).toEqual([`task/a@${seq}`])
    } finally {
      await lonely.stop()
    }
  })
})

/** Every frame that moves begins where the one before ended. */
const expectContinuous = (client: SocketClient): void => {
  let stands = 0
  for (const frame of client.frames) {
    if (!("from" in frame.payload)) continue
    expect(frame.payload.from).toBe(stands)
    stands = frame.payload.to
    expect(parseCursor(frame.payload.cursor)?.seq).toBe(stands)
  }
}

const metric = async (edge: TestEdge, name: string): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${edge.port}/metrics`)).text()
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, "m").exec(text)?.[1] ?? Number.NaN)
}
