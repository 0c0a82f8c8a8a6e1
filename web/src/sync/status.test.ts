/** What the pill may say, and when: from what was heard and what is durable. */
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { SILENCE_MS } from "#protocol/limits.ts"
import { createReplica } from "./client.ts"
import type { Replica } from "./replica.ts"
import { createMemoryStore } from "./store-memory.ts"
import { FakeEdge } from "./testing/fake-edge.ts"

let edge: FakeEdge
let replica: Replica
const status = () => replica.status$.value
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

beforeEach(async () => {
  vi.useFakeTimers({ now: 1_000_000 })
  edge = new FakeEdge()
  edge.write([{ entity: "task", id: "t", scope: "p1", data: {} }])
  replica = await createReplica({
    user: "ada", token: "good", url: "", subscriptions: [{ entityCode: "task" }], store: createMemoryStore(), openSocket: edge.openSocket, random: () => 0.5,
  })
})
afterEach(async () => {
  await replica.close()
  vi.useRealTimers()
})

test("connecting, catching up, live", async () => {
  const seen: Array<string> = []
  replica.status$.subscribe(({ kind }) => seen.at(-1) !== kind && seen.push(kind))
  edge.disconnect()
  await pass(1_000)
  expect(seen).toEqual(["live", "connecting", "catching-up", "live"])
  expect(status()).toEqual({ kind: "live", latencyMs: 1, lagMs: 0 })
})

test("a short break is a connecting; a longer one is an offline since the last word, with what waits", async () => {
  await pass(10_000)
  edge.heartbeat()
  await pass(5_000)
  edge.reachable = false
  edge.disconnect()
  expect(status()).toEqual({ kind: "connecting" })
  await pass(2_000)
  expect(status()).toEqual({ kind: "offline", since: 1_010_000, waiting: 0, reason: null })
  replica.edit({ entity: "task", entityId: "n", scope: "p1", op: "create", data: {} })
  expect(status()).toMatchObject({ kind: "offline", waiting: 1 })
  edge.reachable = true
  await pass(60_000)
  expect(status().kind).not.toBe("offline")
})

test("an open socket that says nothing is no link", async () => {
  await pass(10)
  edge.network = () => ({ frames: [], cut: false })
  await pass(SILENCE_MS - 1_000)
  expect(status().kind).toBe("live")
  await pass(3_000)
  expect(status().kind).not.toBe("live")
})

test("a doubt is settled within seconds", async () => {
  await pass(10)
  edge.network = () => ({ frames: [], cut: false })
  replica.hurry()
  await pass(4_900)
  expect(status().kind).toBe("live")
  await pass(200)
  expect(status().kind).not.toBe("live")
})

test("where a try would end the same way, the reason is said and no other is made", async () => {
  await pass(10)
  edge.received.length = 0
  edge.disconnect(4011)
  await pass(120_000)
  expect(status()).toMatchObject({ kind: "offline", reason: expect.stringContaining("4011") as string })
  expect(edge.received).toEqual([])
})
