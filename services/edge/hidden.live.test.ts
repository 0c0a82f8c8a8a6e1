/** What an edge tells of rows that a user may not see: what it tells of rows that are not there, to the byte and for the same questions to others. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parseCursor } from "#protocol/cursor.ts"
import type { EdgeStack, TestEdge } from "#test/support/edge-stack.ts"
import { startEdgeStack } from "#test/support/edge-stack.ts"
import { SocketClient } from "#test/support/socket-client.ts"
import { Replays } from "./replay.ts"
import { edgeServices } from "./services.ts"
import { Turns } from "./turns.ts"

let stack: EdgeStack
let edge: TestEdge
/** Questions that the edge put to NATS, in order: names of calls, and how much came back. */
let asked: Array<string> = []
const clients: Array<SocketClient> = []

/** The same, with every call noted. */
const noted = <A extends object>(of: string, target: A): A =>
  new Proxy(target, {
    get: (self, name) => {
      const value: unknown = Reflect.get(self, name)
      if (typeof value !== "function") return value
      return (...parameters: ReadonlyArray<unknown>) => {
        asked.push(`${of}.${String(name)}`)
        const answer = Reflect.apply(value, self, parameters) as unknown
        // How much there is in the answer takes its time as well.
        if (name === "latest" || name === "history") void (answer as Promise<ReadonlyArray<unknown>>).then((messages) => asked.push(`${messages.length} messages`))
        return answer
      }
    },
  })

const task = (scope: string, id: string, title: unknown, over: Record<string, unknown> = {}) => ({ entity: "task", scope, id, row: title === null ? null : { id, title }, ...over })

beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id", person: null })
  await stack.startAuthz()
  const real = edgeServices(stack.operator, (cause) => {
    throw cause
  })
  const [log, requests] = [noted("log", real.log), noted("requests", real.requests)]
  edge = await stack.startEdge({ log, requests, replays: new Replays(log, 4, new Turns(5)), drainMs: 0 })
  await stack.grant("user:mia", { scope: "mine" })
  await stack.grant("user:mia", { entity: "task", entity_id: "given" })
  await stack.grant("user:root")
  await stack.write(task("mine", "seen-1", 1), task("secret", "hidden", "x".repeat(500_000)), { entity: "person", id: "hidden", row: { id: "hidden", name: "y".repeat(500_000) } })
  await stack.write(task("mine", "moved", "before"))
  await stack.write(task("mine", "moved", null), task("secret", "moved", "after the move", { user: "spy" }))
  await stack.write(task("secret", "moved", "later", { user: "spy", before: {} }))
})
afterAll(async () => {
  for (const client of clients) client.end()
  await stack.stop()
})

const signedIn = async (user: string): Promise<SocketClient> => {
  const client = new SocketClient(edge.port)
  clients.push(client)
  await client.signIn(await stack.token(user))
  return client
}

/** Everything told, but what is made at random and what the client itself said: its view in the cursor. */
const told = (client: SocketClient): string =>
  JSON.stringify(
    client.frames.map((frame) =>
      frame.type === "AUTH_SUCCESS" ? frame.type : "cursor" in frame.payload ? { ...frame, payload: { ...frame.payload, cursor: { ...parseCursor(frame.payload.cursor), view: "", partial: "" } } } : frame,
    ),
  )

describe("a subscription", () => {
  it.each([
    ["ids", { entityIds: ["hidden"] }, { entityIds: ["nobody"] }],
    ["scopes", { scopes: ["secret"] }, { scopes: ["vacant"] }],
    ["ids in scopes", { scopes: ["secret"], entityIds: ["hidden"] }, { scopes: ["secret"], entityIds: ["nobody"] }],
    ["ids beside visible ones", { entityIds: ["hidden", "seen-1"] }, { entityIds: ["nobody", "seen-1"] }],
    ["what has moved out of sight", { scopes: ["secret"], entityIds: ["moved"] }, { scopes: ["secret"], entityIds: ["nobody"] }],
  ])("to hidden %s is told what one to missing ones is", async (_, hidden, missing) => {
    for (const user of ["mia", "stranger"]) {
      const answers: Array<{ told: string; asked: ReadonlyArray<string> }> = []
      for (const wish of [hidden, missing]) {
        const client = await signedIn(user)
        asked = []
        await client.subscribe({ entityCode: "task", ...wish })
        answers.push({ told: told(client), asked: [...asked] })
        client.end()
      }
      expect(answers[0]).toEqual(answers[1])
    }
  })

  it("is told nothing of what happens there, and everything once it may be seen", async () => {
    const [mia, root] = [await signedIn("mia"), await signedIn("root")]
    await mia.subscribe({ entityCode: "task", entityIds: ["hidden"], scopes: ["secret"] })
    await root.subscribe({ entityCode: "task" })
    const frames = mia.frames.length
    const seq = await stack.write(task("secret", "hidden", 2, { before: {}, user: "spy" }))
    await root.next("CHANGES")
    mia.send({ type: "PING" })
    await mia.next("PONG")
    expect(mia.frames.slice(frames).map(({ type }) => type)).toEqual(["PONG"])
    await stack.grant("user:mia", { scope: "secret" })
    await mia.next("LIVE")
    expect(mia.changes()).toEqual([`task/hidden@${seq}`])
    await stack.revoke("user:mia", { scope: "secret" })
    await mia.next("ACCESS_REVOKED")
  })
})

describe("HTTP", () => {
  const get = async (path: string, user: string, method = "GET"): Promise<unknown> => {
    const authorization = `Bearer ${await stack.token(user)}`
    asked = []
    const response = await fetch(`http://127.0.0.1:${edge.port}${path}`, { method, headers: { authorization } })
    const body = await response.text()
    const headers = [...response.headers].filter(([name]) => name !== "date")
    return { status: response.status, headers, body, asked: [...asked] }
  }

  it.each([
    ["/v1/task/hidden", "/v1/task/nobody"],
    ["/v1/task/hidden/history", "/v1/task/nobody/history"],
    ["/v1/task?scope=secret", "/v1/task?scope=vacant"],
    ["/v1/task?scope=secret&limit=1", "/v1/task?scope=vacant&limit=1"],
    ["/v1/person/hidden", "/v1/person/nobody"],
    ["/v1/person/hidden/history", "/v1/person/nobody/history"],
    ["/v1/task/moved?scope=secret", "/v1/task/was-there?scope=secret"],
    ["/v1/_grant/hidden", "/v1/_grant/nobody"],
  ])("answers %s as %s: status, headers, body, and what it asks of others", async (hidden, missing) => {
    await stack.write(task("mine", "was-there", 1))
    await stack.write(task("mine", "was-there", null))
    for (const user of ["mia", "stranger"])
      for (const method of ["GET", "HEAD", "POST", "DELETE"]) expect(await get(hidden, user, method)).toEqual(await get(missing, user, method))
  })

  it("shows of one that moved out of sight what was in sight, and who did that", async () => {
    const { items } = JSON.parse(((await get("/v1/task/moved/history", "mia")) as { body: string }).body) as { items: ReadonlyArray<Record<string, unknown>> }
    expect(items.map(({ scope, operation, data, by }) => ({ scope, operation, data, by }))).toEqual([
      { scope: "mine", operation: "INSERT", data: { id: "moved", title: "before" }, by: null },
      { scope: "mine", operation: "DELETE", data: null, by: null },
    ])
    expect(await get("/v1/task/moved", "mia")).toMatchObject({ status: 404 })
  })

  it("says how the edge is without a word of any entity", async () => {
    const texts = await Promise.all(["/metrics", "/readyz", "/healthz"].map(async (path) => (await fetch(`http://127.0.0.1:${edge.port}${path}`)).text()))
    for (const word of ["secret", "hidden", "mine", "mia", "spy", "task", "person"]) expect(texts.join("\n")).not.toContain(word)
    const labels = new Set([...texts[0]!.matchAll(/(\w+)="/g)].map(([, name]) => name))
    for (const label of labels) expect(["hop", "le", "request", "result", "status", "unit", "time_unit"]).toContain(label)
  })
})
