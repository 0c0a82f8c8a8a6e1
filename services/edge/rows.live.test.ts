/** What HTTP answers while access is taken away in the middle of a request: rights from before a revocation show nothing that was written after it. */
import { afterAll, beforeAll, expect, it } from "vitest"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Log } from "#nats/log.ts"
import type { EdgeStack } from "#test/support/edge-stack.ts"
import { startEdgeStack } from "#test/support/edge-stack.ts"
import { Replays } from "./replay.ts"
import { Turns } from "./turns.ts"

let stack: EdgeStack
beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id" })
  await stack.startAuthz()
})
afterAll(() => stack?.stop())

it.each(["/v1/task?scope=p", "/v1/task/t1", "/v1/task/t1/history"])("GET %s shows nothing newer than the revocation that came after access was decided", async (url) => {
  const log = jetStreamLog(stack.operator)
  const pattern = { scope: url.includes("scope") ? "p" : null }
  await stack.grant("user:ada", pattern)
  await stack.write({ entity: "task", id: "t1", scope: "p", row: { id: "t1", title: "for ada" } })
  let meanwhile = async (): Promise<void> => {
    meanwhile = async () => {}
    await stack.revoke("user:ada", pattern)
    await stack.write({ entity: "task", id: "t1", scope: "p", row: { id: "t1", title: "not for ada" } })
  }
  const late: Log = {
    ...log,
    readState: async (read) => {
      await meanwhile()
      return log.readState(read)
    },
  }
  const { port, stop } = await stack.startEdge({ replays: new Replays(late, 4, new Turns(5)) })
  const answer = await fetch(`http://127.0.0.1:${port}${url}`, { headers: { authorization: `Bearer ${await stack.token("ada")}` } })
  expect(await answer.text()).not.toContain("not for ada")
  expect(answer.status).toBe(url.includes("scope") ? 200 : 404)
  await stop()
})
