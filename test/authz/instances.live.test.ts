/** Several instances of authz, none special: one stops, one hangs, one comes back from a pause with what it knew before. */
import { connect } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { connectionOptions } from "#nats/connection.ts"
import { REQUEST, ofAll } from "#protocol/request.ts"
import type { EdgeStack } from "../support/edge-stack.ts"
import { startEdgeStack } from "../support/edge-stack.ts"
import { SocketClient } from "../support/socket-client.ts"
import type { ViewAnswer } from "../support/view-answer.ts"
import { viewAnswer, viewQuestion } from "../support/view-answer.ts"
import { until } from "../support/until.ts"
import type { Running } from "./processes.ts"
import { startAuthz, startEdge } from "./processes.ts"

let stack: EdgeStack
let edge: Running
const instances: Array<Running> = []

beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id" })
  await stack.grant("user:ada", { scope: "p1" })
  instances.push(...(await Promise.all([startAuthz(stack), startAuthz(stack)])))
  edge = await startEdge(stack)
}, 60_000)
afterAll(async () => {
  await Promise.all([edge, ...instances].map((one) => one.end("SIGKILL")))
  await stack.stop()
})

const live = async (user: string): Promise<SocketClient> => {
  const client = new SocketClient(edge.port)
  await client.signIn(await stack.token(user))
  await client.subscribe({ entityCode: "task" })
  return client
}

describe("instances of authz", () => {
  it("share the questions; one that hangs costs nobody the answer, and does not answer from before its pause", async () => {
    const [hung] = instances
    hung!.signal("SIGSTOP")
    const clients = await Promise.all(Array.from({ length: 30 }, () => live("ada")))
    // Nobody was told that it could not be done now: the others were asked before the patience of a connection ended.
    expect(clients.flatMap((client) => client.frames).filter((frame) => frame.type === "ERROR")).toEqual([])
    expect(await (await fetch(`http://127.0.0.1:${edge.port}/metrics`)).text()).toMatch(/tideline_edge_asked_all_total [1-9]/)
    for (const client of clients) client.end()

    const at = await stack.revoke("user:ada", { scope: "p1" })
    const { connection, inbox } = stack.operator
    const answers: Array<ViewAnswer> = []
    const reply = inbox()
    connection.subscribe(reply, { callback: (_error, message) => void answers.push(viewAnswer(message.string())) })
    // The stopped one finds the question when it goes on, before it can have heard of what happened meanwhile.
    connection.publish(ofAll(REQUEST.views), viewQuestion({ user: "ada", at }), { reply })
    await until(() => answers.length === 1, { what: "the other's answer" })
    hung!.signal("SIGCONT")
    await until(() => answers.length === 2, { what: "the answer of the one that was stopped" })
    expect(answers.map(({ ok, value }) => [ok, value.allowed])).toEqual([[true, []], [true, []]])
  }, 40_000)

  it("leave without losing a question", async () => {
    const { connection } = stack.operator
    const at = await stack.grant("user:bob", { scope: "p1" })
    let stopping = false
    let asked = 0
    const question = viewQuestion({ user: "bob", at })
    const load = Promise.all(
      Array.from({ length: 32 }, async () => {
        for (let after = 0; after < 50; after += stopping ? 1 : 0) {
          const { ok, value } = viewAnswer((await connection.request(REQUEST.views, question, { timeout: 5_000 })).string())
          expect([ok, value.allowed.length]).toEqual([true, 1])
          asked += 1
        }
      }),
    )
    await until(() => asked > 1_000, { what: "the questions flow" })
    expect(await instances.shift()!.end("SIGTERM")).toBe(0)
    stopping = true
    await load
  }, 40_000)

  it("tell who observes them how many questions of which kind they answered, and of whom never", async () => {
    const text = await (await fetch(`http://127.0.0.1:${instances[0]!.port}/metrics`)).text()
    expect(text).toMatch(/tideline_requests_total\{[^}]*request="authz.views"[^}]*\} [1-9]/)
    expect(text).toMatch(/tideline_requests_total\{[^}]*result="ok"[^}]*\} [1-9]/)
    for (const gauge of ["sequence", "lag_milliseconds", "waiting", "rows"]) expect(text).toMatch(new RegExp(`tideline_authz_fold_${gauge} \\d`))
    expect(text).not.toMatch(/\b(ada|bob|p1)\b/)
  })
})

describe("who answers for authz", () => {
  it("is authz alone: no other service may take its questions, nor answer what it was not asked", async () => {
    for (const user of ["edge", "command", "relay"] as const) {
      const connection = await connect(connectionOptions(stack.nats.url(user), user))
      const refused = await new Promise<Error | null>((resolve) => connection.subscribe(REQUEST.views, { queue: "authz", callback: (error) => resolve(error) }))
      expect(refused?.message).toMatch(/permissions violation/i)
      // Replies to an edge come under its own prefix, where nobody may publish without having been asked.
      let violation = ""
      void (async () => {
        for await (const status of connection.status()) if (status.type === "error") violation = status.error.message
      })()
      connection.publish("_INBOX_edge.x", "{}")
      await connection.flush()
      await until(() => violation !== "", { what: `${user} is refused` })
      expect(violation).toMatch(/permissions violation/i)
      await connection.close()
    }
  })
})
