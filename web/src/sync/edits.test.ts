/** A person's edits: shown at once, sent in order, settled by their echo or by the person. */
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { createReplica } from "./client.ts"
import { overlaid } from "./overlay.ts"
import type { Replica } from "./replica.ts"
import type { Row, StoredEdit } from "./store.ts"
import { documentKey } from "./store.ts"
import { createMemoryStore } from "./store-memory.ts"
import { FakeEdge } from "./testing/fake-edge.ts"
import { turn, until } from "./testing/until.ts"

let edge: FakeEdge
let replica: Replica
let store = createMemoryStore()
let clock = 0

const open = (): Promise<Replica> =>
  createReplica({
    user: "ada", token: "good", url: "", subscriptions: [{ entityCode: "task" }], store, openSocket: edge.openSocket, random: () => 0,
    now: () => Date.now() + clock,
  })

beforeEach(async () => {
  edge = new FakeEdge()
  store = createMemoryStore()
  clock = 0
  edge.write([{ entity: "task", id: "t", scope: "p1", data: { title: "old", status: "todo" } }])
  replica = await open()
  await replica.settled()
})
afterEach(() => replica.close())

const edits = (): ReadonlyArray<StoredEdit> => [...store.edits.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
const shown = (id = "t"): Row | null => overlaid(store.docs.get(documentKey("task", id)), edits().filter((e) => e.entityId === id))
const update = (data: Row, base?: Row): string => replica.edit({ entity: "task", entityId: "t", scope: "p1", op: "update", data, ...(base && { base }) })
const atServer = (id = "t"): Row | undefined => edge.truth(["task"]).get(documentKey("task", id))?.data
const mutations = () => edge.received.flatMap((frame) => (frame.type === "MUTATE" ? frame.payload.mutations : []))

describe("an edit", () => {
  test("shows at once, and is gone when its echo has come", async () => {
    update({ title: "new" })
    expect(shown()).toEqual({ title: "new", status: "todo" })
    await replica.settled()
    expect(edits()).toEqual([])
    expect(shown()).toEqual({ title: "new", status: "todo" })
    expect(atServer()).toEqual({ title: "new", status: "todo" })
  })

  test("carries what the person saw of the fields it changes, and nothing of the others", async () => {
    update({ title: "new", status: "todo" })
    await replica.settled()
    expect(mutations()).toMatchObject([{ op: "update", base: { title: "old" }, data: { title: "new" } }])
  })

  test("that changes nothing is none", () => {
    update({ title: "old" })
    expect(edits()).toEqual([])
  })

  test("of a new row, and then its deletion", async () => {
    replica.edit({ entity: "task", entityId: "n", scope: "p1", op: "create", data: { id: "n", scope: "p1", title: "first" } })
    expect(shown("n")).toMatchObject({ title: "first" })
    await replica.settled()
    replica.edit({ entity: "task", entityId: "n", scope: "p1", op: "delete", data: {} })
    expect(shown("n")).toBeNull()
    await replica.settled()
    expect(atServer("n")).toBeUndefined()
  })

  test("waits offline, survives a closed browser, and is sent by the next", async () => {
    edge.reachable = false
    edge.disconnect()
    update({ title: "written in a tunnel" })
    await replica.close()
    replica = await open()
    expect(shown()).toMatchObject({ title: "written in a tunnel" })
    edge.reachable = true
    await replica.settled()
    expect(atServer()).toMatchObject({ title: "written in a tunnel" })
  })

  test("that was sent but not answered is sent again with the same id, and applied once", async () => {
    edge.holdMutations = true
    update({ title: "once" })
    await until(() => mutations().length === 1)
    edge.disconnect()
    await until(() => mutations().length === 2)
    expect(new Set(mutations().map((m) => m.id)).size).toBe(1)
    edge.answerMutations()
    await replica.settled()
    expect(atServer()).toMatchObject({ title: "once" })
  })

  test("whose echo was hidden by a newer change ends soon after the stream is past it", async () => {
    edge.holdMutations = true
    update({ title: "mine" })
    await until(() => mutations().length === 1)
    const { id } = mutations()[0]!
    edge.say({ type: "MUTATED", payload: { results: [{ id, status: "applied" }] } })
    expect(edits()).toMatchObject([{ state: "applied" }])
    edge.heartbeat()
    await turn()
    expect(edits()).toHaveLength(1)
    clock += 6_000
    edge.heartbeat()
    await until(() => edits().length === 0)
  })
})

describe("edits of one entity", () => {
  test("go one after the other, each over the one before", async () => {
    edge.holdMutations = true
    update({ title: "one" })
    update({ title: "two" })
    replica.edit({ entity: "task", entityId: "other", scope: "p1", op: "create", data: { id: "other", scope: "p1" } })
    expect(shown()).toMatchObject({ title: "two" })
    await until(() => mutations().length === 2)
    expect(mutations().map((m) => m.entityId)).toEqual(["t", "other"])
    edge.answerMutations()
    await replica.settled()
    expect(mutations().map((m) => m.data?.["title"])).toEqual(["one", undefined, "two"])
    expect(atServer()).toMatchObject({ title: "two" })
  })

  test("wait behind one that clashed, and are rebased when it is settled", async () => {
    edge.reachable = false
    edge.disconnect()
    const first = update({ title: "mine" })
    update({ title: "mine, better" })
    edge.write([{ entity: "task", id: "t", scope: "p1", data: { title: "theirs", status: "todo" } }])
    edge.reachable = true
    await until(() => edits()[0]?.state === "conflict")
    expect(edits()[0]!.current).toMatchObject({ title: "theirs" })
    expect(edits()[1]!.state).toBe("waiting")
    expect(shown()).toMatchObject({ title: "mine, better" })
    replica.resolve(first, "theirs")
    await replica.settled()
    expect(atServer()).toMatchObject({ title: "mine, better" })
  })
})

describe("a conflict", () => {
  const clash = async (): Promise<string> => {
    edge.reachable = false
    edge.disconnect()
    const id = update({ title: "mine" })
    edge.write([{ entity: "task", id: "t", scope: "p1", data: { title: "theirs", status: "doing" } }])
    edge.reachable = true
    await until(() => edits()[0]?.state === "conflict")
    return id
  }

  test("does not arise from other fields", async () => {
    edge.reachable = false
    edge.disconnect()
    update({ title: "mine" })
    edge.write([{ entity: "task", id: "t", scope: "p1", data: { title: "old", status: "doing" } }])
    edge.reachable = true
    await replica.settled()
    expect(atServer()).toEqual({ title: "mine", status: "doing" })
  })

  test.for([
    ["mine", "mine"],
    ["theirs", "theirs"],
    [{ merged: { title: "both" } }, "both"],
  ] as const)("settled as %j", async ([how, title]) => {
    replica.resolve(await clash(), how)
    await replica.settled()
    expect(edits()).toEqual([])
    expect(atServer()).toEqual({ title, status: "doing" })
  })
})

describe("a refusal", () => {
  test("stays with its reason until it is discarded", async () => {
    const id = update({ title: "bad" })
    await until(() => edits()[0]?.state === "invalid")
    expect(edits()[0]!.message).toBe("title must not be bad")
    replica.discard(id)
    expect(shown()).toMatchObject({ title: "old" })
  })

  test("of a right can be tried again once it is given, under a new id", async () => {
    replica.edit({ entity: "task", entityId: "x", scope: "p9", op: "create", data: { id: "x", scope: "p9" } })
    await until(() => edits()[0]?.state === "denied")
    edge.allow(["p1", "p9"])
    replica.retry(edits()[0]!.id)
    await replica.settled()
    expect(new Set(mutations().map((m) => m.id)).size).toBe(2)
    expect(atServer("x")).toBeDefined()
  })

  test("of a deletion shows the row again", async () => {
    edge.holdMutations = true
    replica.edit({ entity: "task", entityId: "t", scope: "p1", op: "delete", data: {} })
    await until(() => mutations().length === 1)
    expect(shown()).toBeNull()
    edge.say({ type: "MUTATED", payload: { results: [{ id: mutations()[0]!.id, status: "denied" }] } })
    await until(() => shown() !== null)
  })
})

test("what was lost takes its edits and drafts with it; what is only let go of does not", async () => {
  const release = replica.subscribe([{ entityCode: "note" }])
  edge.holdMutations = true
  for (const entity of ["task", "note"]) {
    replica.edit({ entity, entityId: "n", scope: "p1", op: "create", data: { id: "n", scope: "p1" } })
    await store.writeDrafts([{ key: `${entity}|n|body`, entity, entityId: "n", scope: "p1", field: "body", value: "half a", at: 0 }], [])
  }
  await until(() => mutations().length === 2)
  release()
  await until(() => edge.received.at(-1)?.type === "UNSUBSCRIBE")
  edge.allow([])
  await until(() => store.edits.size === 1)
  expect([...store.edits.values()][0]!.entity).toBe("note")
  expect([...store.drafts.keys()]).toEqual(["note|n|body"])
})

test("a signed-out replica keeps data and edits, and goes on with a new token", async () => {
  edge.token = "other"
  edge.disconnect(4002)
  update({ title: "kept" })
  await until(() => replica.status$.value.kind === "signed-out")
  expect(shown()).toMatchObject({ title: "kept" })
  replica.setToken("other")
  await replica.settled()
  expect(atServer()).toMatchObject({ title: "kept" })
})
