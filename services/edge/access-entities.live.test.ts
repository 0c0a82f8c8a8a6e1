/** Who may do what is an entity like any other to those who were granted it by name, and like one that is empty to everybody else. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { EdgeStack, TestEdge } from "#test/support/edge-stack.ts"
import { startEdgeStack } from "#test/support/edge-stack.ts"
import { SocketClient } from "#test/support/socket-client.ts"

let stack: EdgeStack
let edge: TestEdge
const clients: Array<SocketClient> = []

const signedIn = async (user: string): Promise<SocketClient> => {
  const client = new SocketClient(edge.port)
  clients.push(client)
  await client.signIn(await stack.token(user))
  return client
}

const get = async (path: string, user: string): Promise<{ readonly status: number; readonly body: unknown }> => {
  const response = await fetch(`http://127.0.0.1:${edge.port}${path}`, { headers: { authorization: `Bearer ${await stack.token(user)}` } })
  return { status: response.status, body: await response.json() }
}

/** Ids of the access rows that the client holds, as its frames say. */
const held = (client: SocketClient): ReadonlyArray<string> => {
  const ids = new Set<string>()
  for (const frame of client.frames) {
    if (frame.type === "ACCESS_REVOKED") for (const id of ids) if (id.startsWith(`${frame.payload.entityCode}/`)) ids.delete(id)
    if (frame.type !== "CHANGES") continue
    for (const { entityCode, entityId, operation } of frame.payload.changes) {
      if (operation === "DELETE") ids.delete(`${entityCode}/${entityId}`)
      else ids.add(`${entityCode}/${entityId}`)
    }
  }
  return [...ids].sort()
}

const both = { subscriptions: [{ entityCode: "_grant" }, { entityCode: "_member" }] }
const grantId = (principal: string, scope: string | null, entity: string | null) => `${principal}:${scope}:${entity}:null`

beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id" })
  await stack.startAuthz()
  await stack.grant("user:ada")
  await stack.grant("user:ada", { entity: "_grant" })
  await stack.grant("user:ada", { entity: "_member" })
  await stack.grant("user:grace")
  await stack.write({ entity: "_member", id: "editors,user:bob", row: { role: "editors", member: "user:bob" } })
  edge = await stack.startEdge({ drainMs: 100 })
})
afterAll(async () => {
  for (const client of clients) client.end()
  await stack.stop()
})

describe("grants and memberships", () => {
  it("come from STATE and then live, to whoever was granted them by name", async () => {
    const ada = await signedIn("ada")
    await ada.subscribe(both)
    const before = [grantId("user:ada", null, null), grantId("user:ada", null, "_grant"), grantId("user:ada", null, "_member"), grantId("user:grace", null, null)].map((id) => `_grant/${id}`)
    expect(held(ada)).toEqual([...before, "_member/editors,user:bob"].sort())
    await stack.grant("user:bob", { scope: "p1" })
    const { changes } = (await ada.next("CHANGES")).payload
    expect(changes).toMatchObject([{ entityCode: "_grant", scope: null, operation: "INSERT", data: { principal: "user:bob", scope: "p1" } }])
    await stack.revoke("user:bob", { scope: "p1" })
    expect((await ada.next("CHANGES")).payload.changes).toMatchObject([{ entityCode: "_grant", operation: "DELETE", data: null }])
    expect(held(ada)).toEqual([...before, "_member/editors,user:bob"].sort())
  })

  it("are an empty entity to everybody else, though they see everything else there is", async () => {
    const grace = await signedIn("grace")
    await grace.subscribe({ subscriptions: [{ entityCode: "task" }, { entityCode: "_grant" }, { entityCode: "_member" }] })
    expect(grace.frames.findLast((frame) => frame.type === "SUBSCRIBED")!.payload.count).toBe(3)
    await stack.grant("user:bob", { scope: "p2" })
    await stack.revoke("user:bob", { scope: "p2" })
    await stack.write({ entity: "task", scope: "p1", id: "last", row: { id: "last" } })
    await grace.next("CHANGES")
    expect(grace.changes().map((change) => change.split("@")[0])).toEqual(["task/last"])
    expect(JSON.stringify(grace.frames)).not.toContain("principal")
  })

  it("over HTTP: state, one row, history; to others exactly what an empty entity answers", async () => {
    const id = encodeURIComponent(grantId("user:ada", null, "_grant"))
    const all = await get("/v1/_grant", "ada")
    expect(all.body).toMatchObject({ next: null })
    expect((all.body as { items: Array<unknown> }).items.length).toBeGreaterThan(3)
    expect(await get(`/v1/_grant/${id}`, "ada")).toMatchObject({ status: 200, body: { entityCode: "_grant", data: { principal: "user:ada", entity: "_grant" } } })
    expect(await get(`/v1/_grant/${id}/history`, "ada")).toMatchObject({ status: 200, body: { items: [{ operation: "INSERT" }] } })
    expect(await get("/v1/_grant", "grace")).toEqual({ status: 200, body: { items: [], next: null } })
    const none = await get("/v1/_grant/none-such", "grace")
    expect(none.status).toBe(404)
    expect(await get(`/v1/_grant/${id}`, "grace")).toEqual(none)
    expect(await get(`/v1/_grant/${id}/history`, "grace")).toEqual(none)
    expect((await get("/v1/_epoch", "ada")).status).toBe(404)
  })

  it("are forgotten when the grant on them goes, in the place of that event, and come again with it", async () => {
    await stack.grant("user:linus", { entity: "_grant" })
    const linus = await signedIn("linus")
    await linus.subscribe(both)
    const all = held(linus)
    expect(all).toContain(`_grant/${grantId("user:linus", null, "_grant")}`)
    const revoked = await stack.revoke("user:linus", { entity: "_grant" })
    await stack.grant("user:bob", { scope: "p3" })
    expect((await linus.next("ACCESS_REVOKED")).payload).toEqual({ entityCode: "_grant" })
    await linus.next("LIVE")
    expect(held(linus)).toEqual([])
    const later = linus.changes().filter((change) => Number(change.split("@")[1]) >= revoked)
    expect(later, "nothing at or after the revocation").toEqual([])
    await stack.grant("user:linus", { entity: "_grant" })
    await linus.next("LIVE")
    expect(held(linus)).toEqual([...all, `_grant/${grantId("user:bob", "p3", null)}`].sort())
  })

  it("stay with a client that comes back with its cursor", async () => {
    const first = await signedIn("ada")
    await first.subscribe(both)
    const { cursor } = first
    first.end()
    const seq = await stack.grant("user:cyd", { scope: "p4" })
    const again = await signedIn("ada")
    await again.subscribe({ ...both, cursor })
    expect(again.frames.some((frame) => frame.type === "RESET")).toBe(false)
    expect(again.changes()).toEqual([`_grant/${grantId("user:cyd", "p4", null)}@${seq}`])
  })
})

describe("GET /v1/access", () => {
  const empty = { level: null, grants: [], holders: [], next: null }

  it("explains oneself to everybody, others to whoever sees grants and memberships, and nothing to the rest", async () => {
    await stack.grant("role:editors", { scope: "p9" })
    expect(await get("/v1/access?user=bob&scope=p9", "bob")).toMatchObject({ status: 200, body: { level: "VIEW", grants: [{ principal: "role:editors", scope: "p9", paths: [["editors"]] }] } })
    expect(await get("/v1/access?user=bob&scope=p9&entity=task&id=1", "ada")).toMatchObject({ status: 200, body: { level: "VIEW" } })
    const hidden = await get("/v1/access?user=bob", "grace")
    expect(hidden).toMatchObject({ status: 200, body: empty })
    expect(await get("/v1/access?user=no-such-user", "grace")).toEqual(hidden)
    expect(await get("/v1/access?scope=p9", "bob"), "who may view may not ask who else may").toMatchObject({ status: 200, body: empty })
    const { body } = await get("/v1/access?scope=p9", "ada")
    expect((body as { holders: ReadonlyArray<{ principal: string }> }).holders.map((one) => one.principal)).toEqual(["role:editors", "user:ada", "user:bob", "user:grace"])
    const pages = [await get("/v1/access?scope=p9&limit=3", "ada")]
    pages.push(await get(`/v1/access?scope=p9&limit=3&after=${(pages[0]!.body as { next: string }).next}`, "ada"))
    expect(pages.flatMap((one) => (one.body as { holders: ReadonlyArray<unknown> }).holders)).toEqual((body as { holders: unknown }).holders)
  })

  it("is as of the position of the edge: what a client was just told of is in it", async () => {
    const ada = await signedIn("ada")
    await ada.subscribe(both)
    for (let i = 0; i < 5; i++) {
      await stack.grant("user:eve", { scope: `now${i}` })
      await ada.next("CHANGES")
      expect(await get(`/v1/access?user=eve&scope=now${i}`, "ada")).toMatchObject({ body: { level: "VIEW" } })
    }
  })

  it("says what is wrong with a question", async () => {
    for (const query of ["", "?id=1", "?user=a&role=b", "?user=a&entity=nothing", "?user=a&limit=0", "?user=a&limit=9999", "?scope=%00"])
      expect({ query, ...(await get(`/v1/access${query}`, "ada")) }).toMatchObject({ query, status: 400, body: { code: "malformed" } })
  })
})
