/** What is lost leaves the device with its edits and drafts, whatever took it; what only seemed lost keeps them. And it is said once. */
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { Change, Down } from "#protocol/down.ts"
import type { Applier } from "./apply.ts"
import { createApplier } from "./apply.ts"
import { createReplica } from "./client.ts"
import type { News } from "./losses.ts"
import type { Replica } from "./replica.ts"
import type { Applied } from "./session.ts"
import type { Draft, Held, Store, StoredDoc, StoredEdit } from "./store.ts"
import { documentKey, draftKey, NOTHING_HELD } from "./store.ts"
import { createMemoryStore } from "./store-memory.ts"
import { FakeEdge } from "./testing/fake-edge.ts"
import { turn, until } from "./testing/until.ts"

const draft = (id: string, scope: string, value = "half a word"): Draft => ({
  key: draftKey("task", id, "title"), entity: "task", entityId: id, scope, field: "title", value, at: 0,
})
const ids = (docs: ReadonlyArray<StoredDoc>): ReadonlyArray<string> => docs.map((doc) => doc.id)

/** The store of a browser that dies after so many writes: what comes after is never done. */
const mortal = (store: Store, writes: number): { readonly dying: Store; readonly hasDied: () => boolean } => {
  let left = writes
  let dead = false
  const never = new Promise<never>(() => {})
  const counted = <A extends ReadonlyArray<unknown>>(write: (...args: A) => Promise<void>) => (...args: A): Promise<void> => {
    if (left-- > 0) return write(...args)
    dead = true
    return never
  }
  return {
    dying: { ...store, writeDocs: counted(store.writeDocs), writeEdits: counted(store.writeEdits), writeDrafts: counted(store.writeDrafts), writeHeld: counted(store.writeHeld), close: async () => {} },
    hasDied: () => dead,
  }
}

describe("frame by frame", () => {
  let store: Store
  let applier: Applier
  let news: Array<News>

  const edit = (id: string, scope: string, over: Partial<StoredEdit> = {}): StoredEdit => ({
    id: `edit of ${id}`, mutationId: id, entity: "task", entityId: id, scope, op: "update", base: {}, data: { title: "mine" }, state: "waiting", at: 0, appliedAt: null, current: null, message: null, ...over,
  })
  const change = (id: string, scope: string, version: number, data: Change["data"] = { id }): Change => ({
    entityCode: "task", entityId: id, scope, operation: data === null ? "DELETE" : "UPDATE", version, data, timestamp: "", by: null,
  })
  const apply = async (frame: Down, whole = false): Promise<void> => {
    const { to, cursor } = frame.payload as { readonly to?: number; readonly cursor?: string }
    const held: Held = frame.type === "RESET" ? NOTHING_HELD : { position: to ?? 9, cursor: cursor ?? "c9" }
    applier.push({ frame: frame as Applied, held, whole, letGo: false, settles: frame.type === "LIVE" })
    await applier.idle()
  }
  const changes = (from: number, to: number, ...all: ReadonlyArray<Change>): Down => ({ type: "CHANGES", payload: { from, to, cursor: `c${to}`, changes: [...all] } })
  const live = (at: number): Down => ({ type: "LIVE", payload: { from: at, to: at, cursor: `c${at}` } })
  const kept = () => ({ edits: [...store.edits.values()].map((one) => one.entityId).sort(), drafts: [...store.drafts.values()].map((one) => one.entityId).sort() })

  beforeEach(async () => {
    store = createMemoryStore()
    news = []
    applier = createApplier({ store, now: () => 0, onApplied: () => {}, onFailed: (reason) => expect.fail(reason), isAsked: (entity) => entity === "task", onNews: (one) => news.push(one) })
    await apply(changes(0, 2, change("a", "p1", 1), change("b", "p2", 2)))
    for (const [id, scope] of [["a", "p1"], ["b", "p2"]] as const) {
      await store.writeEdits([edit(id, scope)], [])
      await store.writeDrafts([draft(id, scope)], [])
    }
    await apply(live(2))
  })

  test("a coarse loss takes all at once, and LIVE gives back what is still there", async () => {
    await store.writeEdits([edit("new in p1", "p1", { op: "create" }), edit("new in p2", "p2", { op: "create" })], [])
    await apply({ type: "ACCESS_REVOKED", payload: { entityCode: "task" } })
    expect(kept()).toEqual({ edits: [], drafts: [] })
    await apply(changes(2, 2, change("b", "p2", 2)))
    await apply(live(3))
    expect(kept()).toEqual({ edits: ["b", "new in p2"], drafts: ["b"] })
    expect(news.map((one) => [ids(one.lost), one.edits.map((e) => e.entityId), one.drafts.length, ids(one.gained)])).toEqual([[["a"], ["a", "new in p1"], 1, []]])
  })

  test("after a RESET what is not given again is forgotten, what is given again keeps its edits and drafts", async () => {
    await store.writeEdits([edit("new in p1", "p1", { op: "create" }), edit("new in p2", "p2", { op: "create" }), edit("p9", "p9", { op: "create" })], [])
    await apply({ type: "RESET", payload: { reason: "" } })
    expect(kept().edits).toHaveLength(5)
    await apply(changes(0, 7, change("b", "p2", 7)))
    await apply(live(8))
    expect(kept()).toEqual({ edits: ["b", "new in p2", "p9"], drafts: ["b"] })
    expect(news.map((one) => [ids(one.lost), ids(one.gone), one.edits.length, one.drafts.length])).toEqual([[[], ["a"], 2, 1]])
  })

  test("a deletion, or a move out of sight, takes them; a move within sight does not, though a page lies between its two changes", async () => {
    await apply(changes(2, 4, change("a", "p1", 3, null)), true)
    expect(kept()).toEqual({ edits: ["b"], drafts: ["b"] })
    await apply(changes(4, 6, change("b", "p2", 5, null)))
    await apply(changes(6, 7, change("b", "p3", 6)))
    await apply(live(7))
    expect(kept()).toEqual({ edits: ["b"], drafts: ["b"] })
    expect(news.map((one) => [ids(one.gone), one.edits.length, one.drafts.length])).toEqual([[["a"], 1, 1]])
  })

  test("what another tab still wrote about it goes too", async () => {
    await apply({ type: "ACCESS_REVOKED", payload: { entityCode: "task", scope: "p1" } })
    await apply(live(2))
    await store.writeDrafts([draft("a", "p1", "one letter more")], [])
    applier.look()
    await applier.idle()
    expect(kept()).toEqual({ edits: ["b"], drafts: ["b"] })
  })

  test("what is not subscribed to is not missed", async () => {
    await store.writeDrafts([{ ...draft("f", "p1"), key: "file|f|body", entity: "file" }], [])
    await apply(live(2))
    expect(kept().drafts).toContain("f")
  })

  test("a row that was made here waits for its echo, and its drafts with it", async () => {
    await store.writeEdits([edit("new", "p1", { op: "create", state: "applied", appliedAt: -6_000 })], [])
    await store.writeDrafts([draft("new", "p1")], [])
    await apply(live(3))
    expect(kept()).toMatchObject({ edits: ["a", "b", "new"], drafts: ["a", "b", "new"] })
    await apply(changes(3, 4, change("new", "p1", 4)))
    await apply(live(4))
    expect(kept()).toMatchObject({ edits: ["a", "b"], drafts: ["a", "b", "new"] })
    expect(news).toEqual([])
  })

  test("what is given beside the flow is told as gained, what was written meanwhile is not", async () => {
    await apply(changes(2, 2, change("old", "p3", 1)))
    await apply(changes(2, 3, change("new", "p3", 3)))
    await apply(live(3))
    expect(news.map((one) => ids(one.gained))).toEqual([["old"]])
  })
  test("what was created here in a scope that opened with it is not told as gained, and is there all along", async () => {
    await store.writeEdits([edit("mine", "p9", { op: "create", state: "applied", appliedAt: 0 })], [])
    await apply(changes(9, 9, change("mine", "p9", 8), change("theirs", "p9", 7)))
    await apply(live(9))
    expect(news.map((one) => ids(one.gained))).toEqual([["theirs"]])
    expect(store.docs.get(documentKey("task", "mine"))?.version).toBe(8)
  })
})

describe("with a connection", () => {
  let edge: FakeEdge
  let store: Store
  let replica: Replica
  let news: Array<News>

  beforeEach(async () => {
    edge = new FakeEdge()
    store = createMemoryStore()
    news = []
    edge.write([{ entity: "task", id: "t", scope: "p1", data: { title: "old" } }, { entity: "task", id: "s", scope: "p2", data: { title: "other" } }])
    replica = await createReplica({
      user: "ada", token: "good", url: "", subscriptions: [{ entityCode: "task" }], store, openSocket: edge.openSocket, random: () => 0, onNews: (one) => news.push(one),
    })
    await replica.settled()
  })
  afterEach(() => replica.close())

  const update = (id: string, scope: string): string => replica.edit({ entity: "task", entityId: id, scope, op: "update", data: { title: "mine" } })
  const mutations = () => edge.received.flatMap((frame) => (frame.type === "MUTATE" ? frame.payload.mutations : []))
  const away = (): void => {
    edge.reachable = false
    edge.disconnect()
  }
  const back = async (): Promise<void> => {
    edge.reachable = true
    replica.hurry()
    await until(() => replica.status$.value.kind === "live")
  }

  test("an answer that comes after the revocation brings nothing back", async () => {
    edge.holdMutations = true
    update("t", "p1")
    await until(() => mutations().length === 1)
    edge.allow(["p2"])
    await until(() => store.edits.size === 0)
    edge.say({ type: "MUTATED", payload: { results: [{ id: mutations()[0]!.id, status: "conflict", current: { title: "a secret" } }] } })
    edge.heartbeat()
    await turn()
    expect([store.edits.size, [...store.docs.keys()]]).toEqual([0, ["task|s"]])
    expect(news.map((one) => [ids(one.lost), one.edits.length])).toEqual([[["t"], 1]])
  })

  test("what was lost, deleted or moved away meanwhile is forgotten unsent, and said once", async () => {
    edge.allow(["p1", "p2", "p3"])
    edge.write([{ entity: "task", id: "d", scope: "p1", data: {} }, { entity: "task", id: "m", scope: "p1", data: {} }, { entity: "task", id: "k", scope: "p1", data: {} }])
    await until(() => replica.documents().size === 5)
    away()
    for (const id of ["d", "m", "k"]) update(id, "p1")
    update("s", "p2")
    await store.writeDrafts([draft("s", "p2"), draft("d", "p1"), draft("k", "p1")], [])
    edge.allow(["p1", "p3"])
    edge.write([{ entity: "task", id: "d", scope: "p1", data: null }])
    edge.write([{ entity: "task", id: "m", scope: "p1", data: null }, { entity: "task", id: "m", scope: "p2", data: {} }])
    edge.write([{ entity: "task", id: "k", scope: "p1", data: null }, { entity: "task", id: "k", scope: "p3", data: {} }])
    await back()
    await replica.settled()
    expect(mutations().map((one) => one.entityId)).toEqual(["k"])
    expect([...store.drafts.values()].map((one) => one.entityId)).toEqual(["k"])
    expect(news.map((one) => [ids(one.lost), ids(one.gone).toSorted(), one.edits.length, one.drafts.length])).toEqual([[["s"], ["d", "m"], 3, 2]])
  })

  test("a cursor of another time: documents of then, access of now", async () => {
    const then = { held: await store.readHeld(), docs: [...store.docs.values()] }
    edge.allow(["p2"])
    edge.write([{ entity: "task", id: "s", scope: "p2", data: { title: "newer" } }])
    await until(() => store.docs.get("task|s")?.data?.["title"] === "newer")
    await replica.close()
    // The device was put back to a copy of itself.
    store = createMemoryStore()
    await store.writeDocs(then.docs, [])
    await store.writeHeld(then.held)
    await store.writeDrafts([draft("t", "p1")], [])
    replica = await createReplica({ user: "ada", token: "good", url: "", subscriptions: [{ entityCode: "task" }], store, openSocket: edge.openSocket, random: () => 0 })
    expect(replica.documents().has("task|t")).toBe(true)
    await replica.settled()
    expect([...replica.documents()].map(([key, doc]) => [key, doc.data])).toEqual([["task|s", { title: "newer" }]])
    expect(store.drafts.size).toBe(0)
  })

  test("a browser that dies at any write of a revocation finishes it when it is opened again", async () => {
    let died = 0
    for (let writes = 0; writes < 9; writes++) {
      edge.allow(["p1", "p2"])
      await until(() => replica.documents().size === 2)
      await store.writeDrafts([draft("s", "p2")], [])
      edge.holdMutations = true
      update("s", "p2")
      await until(() => store.edits.size === 1)
      await replica.close()
      const disk = store
      const { dying, hasDied } = mortal(disk, writes)
      replica = await createReplica({ user: "ada", token: "good", url: "", subscriptions: [{ entityCode: "task" }], store: dying, openSocket: edge.openSocket, random: () => 0 })
      // The resume itself may write: the death may come before the revocation, too.
      await until(() => hasDied() || replica.status$.value.kind === "live")
      edge.allow(["p1"])
      await until(() => hasDied() || (replica.documents().size === 1 && disk.edits.size + disk.drafts.size === 0))
      if (hasDied()) died++
      edge.disconnect()
      void replica.close()
      replica = await createReplica({ user: "ada", token: "good", url: "", subscriptions: [{ entityCode: "task" }], store: disk, openSocket: edge.openSocket, random: () => 0 })
      await until(() => replica.status$.value.kind === "live" && [...disk.docs.keys()].join() === "task|t" && disk.edits.size + disk.drafts.size === 0)
    }
    expect(died).toBeGreaterThan(4)
  })

  test("lost and regained, many times over, ends as it stands", async () => {
    for (let i = 0; i < 20; i++) {
      edge.allow(i % 3 === 0 ? ["p2"] : i % 3 === 1 ? ["p1", "p2"] : ["p1"])
      if (i % 4 === 0) edge.write([{ entity: "task", id: "t", scope: "p1", data: { n: i } }])
      if (i % 7 === 0) edge.disconnect()
      if (i % 2 === 0) await turn()
    }
    edge.allow(["p1"])
    await until(() => replica.status$.value.kind === "live" && [...replica.documents().keys()].join() === documentKey("task", "t"))
    expect(replica.documents().get("task|t")?.data).toEqual({ n: 16 })
  })

  test("while what is lost may come again, the status says so, and no more", async () => {
    edge.say({ type: "ACCESS_REVOKED", payload: { entityCode: "task" } })
    expect(replica.status$.value).toMatchObject({ kind: "live", settling: true })
    edge.allow(["p1", "p2", "p3"])
    await until(() => replica.status$.value.kind === "live" && !("settling" in replica.status$.value))
  })
})
