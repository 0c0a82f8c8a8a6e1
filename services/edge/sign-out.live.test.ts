/** Signing out: who is named is ended exactly there, in whatever state the connection is, and comes in again only with a new token. */
import { SignJWT } from "jose"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { TokenReply } from "#protocol/request.ts"
import type { EdgeStack, TestEdge } from "#test/support/edge-stack.ts"
import { SECRET, startEdgeStack } from "#test/support/edge-stack.ts"
import { SocketClient } from "#test/support/socket-client.ts"
import { until } from "#test/support/until.ts"
import { natsRequests } from "./requests.ts"
import type { Requests } from "./requests.ts"

let stack: EdgeStack
let one: TestEdge
let two: TestEdge
let stopAuthz: () => Promise<void>
const clients: Array<SocketClient> = []
let users = 0

beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id" })
  stopAuthz = await stack.startAuthz()
  one = await stack.startEdge({ drainMs: 100 })
  two = await stack.startEdge({ drainMs: 100 })
})
afterAll(async () => {
  for (const client of clients) client.end()
  await stack.stop()
})

/** A user that no other test knows, who may see everything. */
const freshUser = async (): Promise<string> => {
  const user = `user${++users}`
  await stack.grant(`user:${user}`)
  return user
}
const dial = (edge: TestEdge): SocketClient => {
  const client = new SocketClient(edge.port)
  clients.push(client)
  return client
}
const signedIn = async (edge: TestEdge, token: string): Promise<SocketClient> => {
  const client = dial(edge)
  await client.signIn(token)
  return client
}
const live = async (edge: TestEdge, token: string, scope = "none"): Promise<SocketClient> => {
  const client = await signedIn(edge, token)
  await client.subscribe({ entityCode: "task", scopes: [scope] })
  return client
}
const task = (scope: string, id: string, title: number) => ({ entity: "task", scope, id, row: { id, title } })
const signOutRow = (user: string, session: string | null = null) => {
  const id = JSON.stringify([user, session])
  return { entity: "_sign_out", id, row: { id, user_id: user, session, signed_out_at: new Date().toISOString(), signed_out_by: null } }
}

/** What a client was told last, and how it was ended. */
const farewell = async (client: SocketClient): Promise<{ readonly code: number; readonly error: unknown }> => {
  const code = await client.closing()
  const last = client.frames.at(-1)
  return { code, error: last?.type === "ERROR" ? last.payload.code : last?.type }
}
const SIGNED_OUT = { code: 4001, error: "signed_out" }

/** How a token is answered at the door. */
const attempt = async (edge: TestEdge, token: string): Promise<unknown> => {
  const client = dial(edge)
  await client.opened()
  client.send({ type: "AUTH", payload: { token } })
  await until(() => client.closed !== null || client.frames.length > 0, { what: "an answer to AUTH" })
  return client.frames[0]?.type === "AUTH_SUCCESS" ? "in" : farewell(client)
}
const http = async (edge: TestEdge, token: string): Promise<readonly [number, unknown]> => {
  const response = await fetch(`http://127.0.0.1:${edge.port}/v1/task`, { headers: { authorization: `Bearer ${token}` } })
  return [response.status, ((await response.json()) as { code?: string }).code]
}

/** An edge whose questions about tokens wait until they are let go. */
const gatedEdge = async () => {
  const requests = natsRequests(stack.operator)
  const asked: Array<() => void> = []
  const token = async (text: string, at: number): Promise<TokenReply> => {
    const reply = await requests.token(text, at)
    await new Promise<void>((resolve) => asked.push(resolve))
    return reply
  }
  const gate: Requests = { ...requests, token }
  const edge = await stack.startEdge({ drainMs: 0, requests: gate })
  return {
    ...edge,
    asked,
    open: () => {
      for (const resume of asked.splice(0)) resume()
    },
  }
}

describe("a sign-out of all sessions", () => {
  it("ends every connection of the user, on every edge, exactly there", async () => {
    const user = await freshUser()
    const [a, b, other] = [await live(one, await stack.token(user), "exact"), await live(two, await stack.token(user), "exact"), await live(one, await stack.token(await freshUser()), "exact")]
    // Of one transaction: what stands before the sign-out in it comes from the same message of the log, so nothing of it is sent.
    const before = await stack.write(task("exact", "before", 1))
    const at = await stack.write(task("exact", "beside", 1), signOutRow(user), task("exact", "after", 1))
    const after = await stack.write(task("exact", "later", 1))
    for (const client of [a, b]) {
      expect(await farewell(client)).toEqual(SIGNED_OUT)
      expect(client.changes()).toEqual([`task/before@${before}`])
      expect(client.position).toBeLessThan(at - 1)
    }
    await until(() => other.changes().includes(`task/later@${after}`), { what: "the others go on" })
    expect(other.closed).toBeNull()
  })

  it("sends what was pending, and nothing that came later", async () => {
    const user = await freshUser()
    const client = await live(one, await stack.token(user), "pending")
    const writes = Array.from({ length: 40 }, (_, i) => (i === 20 ? signOutRow(user) : task("pending", `t${i}`, i)))
    const seqs: Array<number> = []
    for (const write of writes) seqs.push(await stack.write(write))
    expect(await farewell(client)).toEqual(SIGNED_OUT)
    const told = client.changes().map((change) => Number(change.split("@")[1]))
    expect(told).toEqual(seqs.slice(0, told.length))
    expect(told.length).toBe(20)
    expect(client.position).toBeLessThan(seqs[20]!)
  })

  it("ends a connection that is idle, and one that has just been touched", async () => {
    const user = await freshUser()
    const idle = await signedIn(one, await stack.token(user))
    const client = await live(one, await stack.token(user), "x")
    await stack.write({ entity: "_grant", id: "late", row: { id: "late", principal: `user:${user}`, scope: "y", entity: null, entity_id: null, level: "VIEW", expires_at: null } }, signOutRow(user))
    expect(await farewell(idle)).toEqual(SIGNED_OUT)
    expect(await farewell(client)).toEqual(SIGNED_OUT)
  })

  it("ends one that is reading what it gained, or what it missed", async () => {
    const user = await freshUser()
    const scope = "long"
    for (let i = 0; i < 30; i++) await stack.write(...Array.from({ length: 40 }, (_, k) => task(scope, `${i}-${k}`, 1)))
    const client = await signedIn(one, await stack.token(user))
    client.send({ type: "SUBSCRIBE", payload: { entityCode: "task", scopes: [scope] } })
    const at = await stack.signOut(user)
    await stack.write(task(scope, "0-0", 2))
    expect(await farewell(client)).toEqual(SIGNED_OUT)
    for (const change of client.changes()) expect(Number(change.split("@")[1])).toBeLessThan(at)
  })

  it("ends one whose socket is full", async () => {
    const user = await freshUser()
    const client = await live(one, await stack.token(user), "full")
    client.socket.pause()
    const large = "x".repeat(200_000)
    const slow = one.edge.connections
    for (let i = 0; i < 80; i++) await stack.write({ entity: "task", scope: "full", id: `big${i}`, row: { id: `big${i}`, title: large } })
    expect(one.edge.connections).toBe(slow)
    const at = await stack.signOut(user)
    await stack.write(task("full", "after", 1))
    await until(() => one.edge.connections < slow, { what: "the edge has let go of it" })
    client.socket.resume()
    expect(await farewell(client)).toEqual(SIGNED_OUT)
    for (const change of client.changes()) expect(Number(change.split("@")[1])).toBeLessThan(at)
  })

  it("refuses its tokens everywhere from there on, by HTTP too, and takes one that was issued after", async () => {
    const user = await freshUser()
    const old = await stack.token(user)
    const forged = await new SignJWT({ sub: user, exp: Math.floor(Date.now() / 1_000) + 600 }).setProtectedHeader({ alg: "HS256" }).sign(Buffer.from(SECRET))
    expect(await http(one, old)).toEqual([200, undefined])
    const at = Date.now()
    await stack.signOut(user, null, at)
    for (const edge of [one, two]) {
      for (const token of [old, forged]) {
        expect(await attempt(edge, token)).toEqual(SIGNED_OUT)
        expect(await http(edge, token)).toEqual([401, "signed_out"])
      }
    }
    await until(() => Date.now() > at, { what: "another millisecond" })
    const fresh = await stack.token(user)
    expect(await attempt(one, fresh)).toBe("in")
    expect(await http(two, fresh)).toEqual([200, undefined])
    // Another, later one ends that as well.
    await stack.signOut(user)
    expect(await attempt(two, fresh)).toEqual(SIGNED_OUT)
  })

  it("leaves a connection that came with a token issued after it, though it came before the edge knew", async () => {
    const user = await freshUser()
    const client = await live(one, await stack.token(user))
    await stack.signOut(user, null, Date.now() - 60_000)
    const seq = await stack.write(task("none", "still", 1))
    await until(() => client.changes().includes(`task/still@${seq}`), { what: "it goes on" })
    expect(client.closed).toBeNull()
  })
})

describe("a sign-out of one session", () => {
  it("ends its connections and refuses its tokens, those to come as well, and leaves the user's others", async () => {
    const user = await freshUser()
    const phone = await stack.token(user, "phone")
    const [a, b] = [await signedIn(one, phone), await live(two, await stack.token(user, "laptop"))]
    expect((a.frames[0]!.payload as { sessionId?: string }).sessionId).toBe("phone")
    await stack.signOut(user, "phone")
    expect(await farewell(a)).toEqual(SIGNED_OUT)
    expect(await attempt(two, phone)).toEqual(SIGNED_OUT)
    expect(await attempt(two, await stack.token(user, "phone"))).toEqual(SIGNED_OUT)
    expect(await attempt(two, await stack.token(user, "tablet"))).toBe("in")
    const seq = await stack.write(task("none", "on", 1))
    await until(() => b.changes().includes(`task/on@${seq}`), { what: "the laptop goes on" })
  })
})

describe("a token on its way", () => {
  it("is refused where the sign-out came between question and answer", async () => {
    const edge = await gatedEdge()
    const user = await freshUser()
    const client = await dial(edge).opened()
    client.send({ type: "AUTH", payload: { token: await stack.token(user) } })
    client.send({ type: "SUBSCRIBE", payload: { entityCode: "task" } })
    const asking = http(edge, await stack.token(user))
    await until(() => edge.asked.length === 2, { what: "authz has answered both" })
    const at = await stack.signOut(user)
    await until(() => edge.edge.world!.ring.head >= at, { what: "the edge has passed the sign-out" })
    edge.open()
    expect(await farewell(client)).toEqual(SIGNED_OUT)
    expect(client.frames.map((frame) => frame.type)).toEqual(["ERROR"])
    expect(await asking).toEqual([401, "signed_out"])
    await edge.stop()
  })

  it("to take the place of another: refused if it is ended, and the other goes on if that is not", async () => {
    const edge = await gatedEdge()
    const user = await freshUser()
    const client = await dial(edge).opened()
    const asked = async (frame: unknown) => {
      client.send(frame)
      await until(() => edge.asked.length === 1, { what: "authz has answered" })
    }
    await asked({ type: "AUTH", payload: { token: await stack.token(user, "a") } })
    edge.open()
    await client.next("AUTH_SUCCESS")
    await asked({ type: "TOKEN_REFRESH", payload: { token: await stack.token(user, "b") } })
    const at = await stack.signOut(user, "b")
    await until(() => edge.edge.world!.ring.head >= at, { what: "the edge has passed the sign-out" })
    edge.open()
    expect((await client.next("ERROR")).payload.code).toBe("signed_out")
    expect(client.closed).toBeNull()
    // Of another session now: the end of its old one is no concern of it any more, that of its new one is.
    await asked({ type: "TOKEN_REFRESH", payload: { token: await stack.token(user, "c") } })
    edge.open()
    client.send({ type: "PING" })
    await client.next("PONG")
    await stack.signOut(user, "a")
    client.send({ type: "PING" })
    await client.next("PONG")
    await stack.signOut(user, "c")
    expect(await farewell(client)).toEqual(SIGNED_OUT)
    await edge.stop()
  })

  it("is ended with its connection where the old one is: the answer that is under way saves nothing", async () => {
    const edge = await gatedEdge()
    const user = await freshUser()
    const client = await dial(edge).opened()
    client.send({ type: "AUTH", payload: { token: await stack.token(user, "a") } })
    await until(() => edge.asked.length === 1, { what: "authz has answered" })
    edge.open()
    await client.next("AUTH_SUCCESS")
    client.send({ type: "TOKEN_REFRESH", payload: { token: await stack.token(user, "b") } })
    await until(() => edge.asked.length === 1, { what: "authz has answered" })
    await stack.signOut(user, "a")
    expect(await farewell(client)).toEqual(SIGNED_OUT)
    edge.open()
    await edge.stop()
  })
})

describe("what comes and goes", () => {
  it("an edge that starts after the sign-out refuses as well, and so does an authz that starts after it", async () => {
    const user = await freshUser()
    const token = await stack.token(user)
    await stack.signOut(user)
    const late = await stack.startEdge({ drainMs: 0 })
    expect(await attempt(late, token)).toEqual(SIGNED_OUT)
    await stopAuthz()
    stopAuthz = await stack.startAuthz()
    expect(await attempt(late, token)).toEqual(SIGNED_OUT)
    await late.stop()
  })

  it("nobody is let in while authz is away, and those who are in stay and can be signed out", async () => {
    const user = await freshUser()
    const client = await live(one, await stack.token(user))
    const token = await stack.token(user)
    await stopAuthz()
    const waiting = await dial(one).opened()
    waiting.send({ type: "AUTH", payload: { token } })
    expect((await waiting.next("ERROR")).payload).toMatchObject({ code: "unavailable", retryAfter: expect.any(Number) as number })
    client.send({ type: "TOKEN_REFRESH", payload: { token } })
    expect((await client.next("ERROR")).payload).toMatchObject({ code: "unavailable", retryAfter: expect.any(Number) as number })
    await stack.signOut(user)
    expect(await farewell(client)).toEqual(SIGNED_OUT)
    stopAuthz = await stack.startAuthz()
    expect(await farewell(waiting)).toEqual(SIGNED_OUT)
  })
})
