/** Edges without authz: what was decided holds until something touches it or its time runs out; what is to be decided waits, and is told; nothing is decided open. */
import { afterAll, beforeAll, expect, it } from "vitest"
import { QUEUE, REQUEST } from "#protocol/request.ts"
import type { EdgeStack } from "../support/edge-stack.ts"
import { startEdgeStack } from "../support/edge-stack.ts"
import { SocketClient } from "../support/socket-client.ts"
import { until } from "../support/until.ts"
import type { Running } from "./processes.ts"
import { startAuthz, startEdge } from "./processes.ts"

let stack: EdgeStack
let edge: Running
let authz: Running

beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id" })
  authz = await startAuthz(stack)
  edge = await startEdge(stack)
}, 60_000)
afterAll(async () => {
  await Promise.all([edge, authz].map((one) => one.end("SIGKILL")))
  await stack.stop()
})

const task = (scope: string, id: string) => ({ entity: "task", scope, id, row: { id } })
const signIn = async (user: string): Promise<SocketClient> => {
  const client = await new SocketClient(edge.port).opened()
  client.send({ type: "AUTH", payload: { token: await stack.token(user) } })
  return client
}
const live = async (user: string): Promise<SocketClient> => {
  const client = await signIn(user)
  await client.next("AUTH_SUCCESS")
  await client.subscribe({ entityCode: "task" })
  return client
}
const told = (client: SocketClient, type: string) => client.frames.filter((frame) => frame.type === type)
const isTold = (client: SocketClient) => until(() => told(client, "ERROR").length > 0, { what: "it is told to wait", deadline: 20_000 })

it("live connections go on; who is touched, new or out of time waits and is told; all go on when authz is back", async () => {
  await stack.grant("user:ada", { scope: "p1" })
  await stack.grant("user:bob", { scope: "p1" })
  await stack.grant("user:cyd", { scope: "p1" })
  await stack.grant("user:dan", { scope: "p1", expires_at: new Date(Date.now() + 4_000).toISOString() })
  const [ada, bob, cyd, dan] = await Promise.all([live("ada"), live("bob"), live("cyd"), live("dan")])
  const token = await stack.token("ada")
  await authz.end("SIGKILL")

  const first = await stack.write(task("p1", "a"))
  const everyone = [ada, bob, cyd, dan]
  await until(() => everyone.every((client) => client.changes().includes(`task/a@${first}`)), { what: "the change comes to all who are live" })

  // Whom an event touches is stopped before it: what may have been lost is not told, nor anything else. A grant is no reason to tell more, either.
  await stack.revoke("user:bob", { scope: "p1" })
  await stack.write(task("p2", "new"))
  await stack.grant("user:cyd", { scope: "p2" })
  // Dan's time runs out by the edge's own clock.
  await Promise.all([isTold(bob), isTold(cyd), isTold(dan)])
  const newcomer = await signIn("ada")
  await isTold(newcomer)
  const second = await stack.write(task("p1", "b"))
  await until(() => ada.changes().includes(`task/b@${second}`), { what: "the change comes to the one who is not touched" })

  // Whatever is said in authz' name, and is no answer of its own, opens nothing.
  const { connection } = stack.operator
  const lies = ["", "{", "null", "[]", '{"ok":true}', '{"ok":true,"value":null}', '{"ok":true,"value":{}}', '{"ok":true,"value":{"userId":7,"expiresAt":"x"}}', '{"ok":true,"value":{"views":[],"patterns":[]}}', '{"ok":true,"value":{"views":[{"principals":[],"view":7,"before":null,"expiresAt":null}],"patterns":[]}}']
  let lied = 0
  const liars = [REQUEST.token, REQUEST.views].map((subject) =>
    connection.subscribe(subject, { queue: QUEUE.authz, callback: (_error, message) => void message.respond(lies[lied++ % lies.length]!) }),
  )
  await connection.flush()
  const http = () => fetch(`http://127.0.0.1:${edge.port}/v1/task`, { headers: { authorization: `Bearer ${token}` } })
  while (lied < lies.length) expect((await http()).status).toBeGreaterThanOrEqual(500)
  for (const liar of liars) liar.unsubscribe()
  await connection.flush()
  const answer = await http()
  expect([answer.status, Number(answer.headers.get("retry-after")) > 0]).toEqual([503, true])

  for (const client of [bob, cyd, dan]) {
    expect(client.changes()).toEqual([`task/a@${first}`])
    expect(client.closed).toBeNull()
  }
  for (const client of [bob, cyd, dan, newcomer]) expect(told(client, "ERROR").every((frame) => frame.type === "ERROR" && frame.payload.code === "unavailable" && frame.payload.retryAfter! > 0)).toBe(true)
  expect([told(newcomer, "AUTH_SUCCESS"), told(ada, "ERROR")]).toEqual([[], []])

  authz = await startAuthz(stack)
  const back = { deadline: 20_000 }
  await until(() => [bob, dan].every((client) => told(client, "ACCESS_REVOKED").length === 1 && told(client, "LIVE").length === 2), { what: "they are told what they lost", ...back })
  await until(() => told(newcomer, "AUTH_SUCCESS").length === 1, { what: "the newcomer is signed in", ...back })
  await until(() => told(cyd, "LIVE").length === 2, { what: "the one who gained something goes on", ...back })
  expect(cyd.changes().map((change) => change.split("@")[0]).sort()).toEqual(["task/a", "task/b", "task/new"])
  expect([bob, dan].map((client) => client.changes())).toEqual([[`task/a@${first}`], [`task/a@${first}`]])
  for (const client of [...everyone, newcomer]) client.end()
}, 60_000)
