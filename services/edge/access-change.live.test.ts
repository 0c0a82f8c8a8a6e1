/** `POST /v1/access`: what an edge takes for a change of access, what it passes on, and what it answers when nobody is there to decide. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { AccessChangeRequest } from "#protocol/request.ts"
import { accessSubject } from "#protocol/subject.ts"
import { startEdgeStack } from "#test/support/edge-stack.ts"
import type { EdgeStack, TestEdge } from "#test/support/edge-stack.ts"

let stack: EdgeStack
let edge: TestEdge
beforeAll(async () => {
  stack = await startEdgeStack({ task: "project" })
  await stack.startAuthz()
  edge = await stack.startEdge()
})
afterAll(() => stack.stop())

const post = async (body: unknown, token?: string): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> => {
  const response = await fetch(`http://127.0.0.1:${edge.port}/v1/access`, {
    method: "POST",
    headers: { "content-type": "application/json", "user-agent": "test", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    body: typeof body === "string" ? body : JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}
const grant = { id: "c1", type: "grant", principal: "user:bob", scope: "p1", entity: null, entityId: null, level: "VIEW", expiresAt: null }

/** Answers like the command service while `work` runs; gives what was asked. */
const answering = async (status: string, work: () => Promise<void>): Promise<ReadonlyArray<{ readonly subject: string; readonly request: typeof AccessChangeRequest.Type }>> => {
  const asked: Array<{ readonly subject: string; readonly request: typeof AccessChangeRequest.Type }> = []
  const subscription = stack.operator.connection.subscribe("cmd.*.*.*", {
    callback: (_, message) => {
      const request = message.json<typeof AccessChangeRequest.Type>()
      asked.push({ subject: message.subject, request })
      message.respond(JSON.stringify({ ok: true, value: { id: request.change.id, status } }))
    },
  })
  await stack.operator.connection.flush()
  await work().finally(() => subscription.unsubscribe())
  return asked
}

describe("a change of access", () => {
  it("goes to the command service with who asks and how, whatever the user is called", async () => {
    for (const user of ["ada", "a.d *>a ü", "_ada"]) {
      const asked = await answering("applied", async () => {
        expect(await post(grant, await stack.token(user))).toEqual({ status: 200, body: { id: "c1", status: "applied" } })
      })
      expect(asked).toMatchObject([{ subject: accessSubject(user), request: { user, change: grant, endpoint: "/v1/access", method: "POST", userAgent: "test", ip: "127.0.0.1" } }])
    }
  })

  it("may be any of the five, and the answer is what it is", async () => {
    const token = await stack.token("ada")
    const wishes = [
      grant, { ...grant, expiresAt: "2099-01-01T00:00:00.5+02:00" }, { id: "c2", type: "revoke", principal: "everyone", scope: null, entity: "task", entityId: "1" },
      { id: "c3", type: "join", role: "a", member: "role:b" }, { id: "c4", type: "leave", role: "a", member: "user:b" }, { id: "c5", type: "sign-out", user: "bob", session: null },
    ]
    const asked = await answering("denied", async () => {
      for (const wish of wishes) expect(await post(wish, token)).toEqual({ status: 200, body: { id: wish.id, status: "denied" } })
    })
    expect(asked.map(({ request }) => request.change)).toEqual(wishes)
  })

  it("is taken from nobody who is not signed in, and not from their own word who they are", async () => {
    expect(await post(grant)).toMatchObject({ status: 401, body: { code: "unauthorised" } })
    expect(await post(grant, "x.y.z")).toMatchObject({ status: 401 })
    const asked = await answering("applied", async () => void (await post({ ...grant, user: "root" }, await stack.token("eve"))))
    expect(asked.map(({ request }) => request.user)).toEqual(["eve"])
  })

  it("that is none is refused, and says why; any must be said", async () => {
    const token = await stack.token("ada")
    const { scope: _, ...unsaid } = grant
    const bad = [
      "{", [], {}, { ...grant, type: "own" }, unsaid, { ...grant, level: "BOSS" }, { ...grant, expiresAt: "tomorrow" }, { ...grant, expiresAt: 7 }, { ...grant, id: "" }, { ...grant, id: "x".repeat(201) },
      { ...grant, scope: "x".repeat(1_025) }, { ...grant, principal: `user:${"x".repeat(1_025)}` }, { ...grant, scope: "\0" }, { ...grant, entityId: "\uD800" }, { id: "c", type: "sign-out", user: "bob" },
    ]
    const asked = await answering("applied", async () => {
      for (const body of bad) expect(await post(body, token)).toMatchObject({ status: 400, body: { code: "malformed", message: expect.stringMatching(/./), hint: expect.stringMatching(/./) } })
      expect(await post("x".repeat(300_000), token)).toMatchObject({ status: 413 })
    })
    expect(asked).toEqual([])
  })

  it("waits for nobody: where no command service answers it is to be asked again", async () => {
    expect(await post(grant, await stack.token("ada"))).toMatchObject({ status: 503, body: { code: "unavailable", retryAfter: 1 } })
  })
})
