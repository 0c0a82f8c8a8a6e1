/** A token's life on a connection: the warning, another in its place, and the end, whatever is under way then. */
import { SignJWT } from "jose"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { TokenReply } from "#protocol/request.ts"
import { RequestError } from "#protocol/request.ts"
import type { EdgeStack, TestEdge } from "#test/support/edge-stack.ts"
import { SECRET, startEdgeStack } from "#test/support/edge-stack.ts"
import { SocketClient } from "#test/support/socket-client.ts"
import { until } from "#test/support/until.ts"
import type { Requests } from "./requests.ts"
import { natsRequests } from "./requests.ts"

let stack: EdgeStack
let edge: TestEdge
const clients: Array<SocketClient> = []
/** Takes authz' answer and gives the edge's; a test may hold it back, or lose it. */
let between: (text: string, ask: () => Promise<TokenReply>) => Promise<TokenReply> = (_, ask) => ask()

beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id" })
  await stack.startAuthz()
  const requests = natsRequests(stack.operator)
  const asking: Requests = { ...requests, token: (text, at) => between(text, () => requests.token(text, at)) }
  // Its clock is a quarter of an hour fast, which is no concern of tokens.
  edge = await stack.startEdge({ drainMs: 0, requests: asking, now: () => Date.now() + 900_000 })
})
afterAll(async () => {
  for (const client of clients) client.end()
  await stack.stop()
})

const seconds = (): number => Date.now() / 1_000
const token = (lasts: number, over: Record<string, unknown> = {}): Promise<string> =>
  new SignJWT({ sub: "ada", iat: seconds(), exp: seconds() + lasts, ...over }).setProtectedHeader({ alg: "HS256" }).sign(Buffer.from(SECRET))
const signedIn = async (text: string): Promise<SocketClient> => {
  const client = new SocketClient(edge.port)
  clients.push(client)
  await client.signIn(text)
  return client
}
const refresh = (client: SocketClient, text: string): void => client.send({ type: "TOKEN_REFRESH", payload: { token: text } })
const errors = (client: SocketClient): ReadonlyArray<string> => client.frames.flatMap((frame) => (frame.type === "ERROR" ? [frame.payload.code] : []))

it("is told a minute before, and not before that", async () => {
  const [soon, later] = [await signedIn(await token(60.5)), await signedIn(await token(600))]
  expect((await soon.next("TOKEN_EXPIRING_SOON")).payload.expiresIn).toBe(60)
  expect([soon.closed, later.frames.some((frame) => frame.type === "TOKEN_EXPIRING_SOON")]).toEqual([null, false])
})

it("what is no good takes no token's place, and the one there is ends when it does", async () => {
  const ends = seconds() + 2
  const client = await signedIn(await token(2))
  for (const bad of [await token(-1), await token(600, { sub: "grace" }), await token(600, { nbf: seconds() + 300 }), await token(600, { iat: seconds() + 300 }), "a.b.c", `${await token(600)}x`]) refresh(client, bad)
  await until(() => errors(client).length === 6, { what: "an answer to each" })
  expect(new Set(errors(client))).toEqual(new Set(["unauthorised"]))
  expect(await client.closing()).toBe(4002)
  expect(seconds()).toBeGreaterThanOrEqual(ends - 0.05)
})

it("ends with it though another is on its way, and that answer is void", async () => {
  let answer: (() => void) | undefined
  const second = await token(600)
  between = async (text, ask) => {
    const reply = await ask()
    if (text === second) await new Promise<void>((resolve) => (answer = resolve))
    return reply
  }
  const client = await signedIn(await token(1.5))
  refresh(client, second)
  await until(() => answer !== undefined, { what: "authz has answered" })
  expect(await client.closing()).toBe(4002)
  answer!()
  between = (_, ask) => ask()
  expect(client.frames.map((frame) => frame.type).filter((type) => type !== "PONG")).toEqual(["AUTH_SUCCESS", "TOKEN_EXPIRING_SOON"])
})

it("lives on with another, of which the last that was sent counts, in whatever order they are answered", async () => {
  const held: Array<() => void> = []
  const [older, newer] = [await token(1), await token(600)]
  const client = await signedIn(await token(2))
  between = async (text, ask) => {
    const reply = await ask()
    if (text === older) await new Promise<void>((resolve) => held.push(resolve))
    return reply
  }
  refresh(client, older)
  refresh(client, newer)
  await until(() => held.length === 1, { what: "authz has answered the older" })
  await until(async () => {
    client.send({ type: "PING" })
    await client.next("PONG")
    return true
  }, { what: "and the newer" })
  held[0]!()
  const passed = Date.now() + 2_500
  await until(() => Date.now() > passed, { what: "the end of both others", every: 50 })
  expect([client.closed, errors(client)]).toEqual([null, []])
})

it("while authz is away the client is told when to send it again, and the one there is stays good", async () => {
  between = () => Promise.reject(new RequestError({ code: "unavailable", message: "away", hint: "later", retryAfter: 3 }))
  const client = new SocketClient(edge.port)
  clients.push(client)
  await client.opened()
  client.send({ type: "AUTH", payload: { token: await token(600) } })
  expect((await client.next("ERROR")).payload.retryAfter).toBeGreaterThanOrEqual(1)
  between = (_, ask) => ask()
  await client.next("AUTH_SUCCESS")
  between = () => Promise.reject(new RequestError({ code: "unavailable", message: "away", hint: "later", retryAfter: 3 }))
  refresh(client, await token(600))
  expect((await client.next("ERROR")).payload).toMatchObject({ code: "unavailable", retryAfter: 3 })
  between = (_, ask) => ask()
  client.send({ type: "PING" })
  await client.next("PONG")
})
