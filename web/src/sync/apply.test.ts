/** Frames into documents: which version wins, in what order things become durable, and when a transaction shows. */
import { describe, expect, test } from "vitest"
import type { Change, Down } from "#protocol/down.ts"
import type { Accepted, Applier } from "./apply.ts"
import { createApplier, plan } from "./apply.ts"
import type { News } from "./losses.ts"
import type { Applied } from "./session.ts"
import type { Held, Store, StoredDoc } from "./store.ts"
import { documentKey, NOTHING_HELD } from "./store.ts"
import { createMemoryStore } from "./store-memory.ts"
import { until } from "./testing/until.ts"

const change = (id: string, version: number, over: Partial<Change> = {}): Change => ({
  entityCode: "task", entityId: id, scope: "p1", operation: "UPDATE", version, data: { v: version }, timestamp: "", by: null, ...over,
})
const gone = (id: string, version: number, over: Partial<Change> = {}): Change => change(id, version, { operation: "DELETE", data: null, ...over })
const stored = (id: string, version: number, data: StoredDoc["data"] = { v: version }): StoredDoc => ({
  key: documentKey("task", id), entity: "task", id, scope: "p1", version, data, by: null, at: "",
})
const docs = (...all: ReadonlyArray<StoredDoc>): ReadonlyMap<string, StoredDoc> => new Map(all.map((doc) => [doc.key, doc]))

describe("the newest version wins", () => {
  test("over what is held", () => {
    const { puts } = plan([change("a", 3), change("b", 5), change("c", 6)], docs(stored("a", 4), stored("b", 5), stored("c", 5)), 6)
    expect([...puts.values()].map((doc) => [doc.id, doc.version])).toEqual([["c", 6]])
  })
  test("within a batch, in whatever order it comes", () => {
    for (const changes of [[change("a", 1), change("a", 2)], [change("a", 2), change("a", 1)]]) {
      expect([...plan(changes, docs(), 2).puts.values()].map((doc) => doc.version)).toEqual([2])
    }
  })
  test("a row that moved to another scope is there, whichever of its two changes comes first", () => {
    const moved = [gone("a", 4), change("a", 5, { scope: "p2" })]
    for (const changes of [moved, [...moved].reverse()]) {
      const { puts, deletes } = plan(changes, docs(stored("a", 1)), 5)
      expect([[...puts.values()].map((doc) => doc.scope), deletes.size]).toEqual([["p2"], 0])
    }
  })
  test("a deletion leaves a trace only where something older may still come", () => {
    expect(plan([gone("a", 5)], docs(stored("a", 1)), 5)).toEqual({ puts: new Map(), deletes: new Set(["task|a"]) })
    const { puts } = plan([gone("a", 5)], docs(stored("a", 1)), 4)
    expect(puts.get("task|a")).toMatchObject({ version: 5, data: null })
    expect(plan([change("a", 3)], docs(stored("a", 5, null)), 4).puts.size).toBe(0)
  })
})

const setUp = (store: Store = createMemoryStore()) => {
  const told: Array<Held> = []
  const failures: Array<string> = []
  const news: Array<News> = []
  const applier = createApplier({ store, now: () => 0, onApplied: (held) => told.push(held), onFailed: (reason) => failures.push(reason), isAsked: () => true, onNews: (one) => news.push(one) })
  return { store, applier, told, failures, news }
}
const accept = (frame: Down, more: Partial<Accepted> = {}): Accepted => {
  const payload = frame.payload as { readonly to?: number; readonly cursor?: string }
  const held = payload.to === undefined ? NOTHING_HELD : { position: payload.to, cursor: payload.cursor! }
  return { frame: frame as Applied, held, whole: false, letGo: false, settles: frame.type === "LIVE", ...more }
}
const changes = (from: number, to: number, all: ReadonlyArray<Change>, more?: true): Down => ({
  type: "CHANGES",
  payload: { from, to, cursor: `c${to}`, changes: [...all], ...(more === undefined ? {} : { more }) },
})
const ids = (store: Store): ReadonlyArray<string> => [...store.docs.values()].filter((doc) => doc.data !== null).map((doc) => doc.id)
const idle = (applier: Applier): Promise<void> => applier.idle()

describe("what is durable when", () => {
  /** A store that says what is written, in order. */
  const recorded = () => {
    const store = createMemoryStore()
    const log: Array<string> = []
    const write = <A extends ReadonlyArray<unknown>>(name: string, work: (...args: A) => Promise<void>) => async (...args: A) => {
      await work(...args)
      log.push(`${name} ${JSON.stringify(args.flatMap((arg) => (Array.isArray(arg) ? arg.map((one) => (one as StoredDoc).key ?? one) : (arg as Held).cursor)))}`)
    }
    return { log, store: { ...store, writeDocs: write("docs", store.writeDocs), writeHeld: write("held", store.writeHeld), writeEdits: write("edits", store.writeEdits) } }
  }

  test("documents, then the cursor that speaks of them; what came meanwhile in one write", async () => {
    const { store, log } = recorded()
    const { applier, told } = setUp(store)
    applier.push(accept(changes(0, 1, [change("a", 1)])))
    applier.push(accept(changes(1, 2, [change("b", 2)])))
    applier.push(accept(changes(2, 3, [change("c", 3)])))
    await idle(applier)
    expect(log).toEqual(['docs ["task|a"]', 'held ["c1"]', 'docs ["task|b","task|c"]', 'held ["c3"]'])
    expect(told.map((held) => held.position)).toEqual([1, 3])
  })

  test("the cursor, then what it no longer speaks of", async () => {
    const { store, log } = recorded()
    await store.writeDocs([stored("a", 1)], [])
    const { applier } = setUp(store)
    applier.push(accept({ type: "RESET", payload: { reason: "" } }))
    await idle(applier)
    expect(log).toEqual(['docs ["task|a"]', "held [null]", 'docs ["task|a"]'])
    expect(ids(store)).toEqual([])
  })

  test("nothing of a frame that the device refused is told, nor of those after it", async () => {
    const store = createMemoryStore()
    const { applier, told, failures } = setUp({ ...store, writeDocs: () => Promise.reject(new Error("the disk is full")) })
    applier.push(accept(changes(0, 1, [change("a", 1)])))
    applier.push(accept({ type: "LIVE", payload: { from: 1, to: 2, cursor: "c2" } }))
    await until(() => failures.length > 0)
    expect([told, failures]).toEqual([[], ["the disk is full"]])
    expect(await store.readHeld()).toEqual(NOTHING_HELD)
  })
})

describe("a transaction in several frames", () => {
  test("shows whole while live", async () => {
    const { store, applier } = setUp()
    applier.push(accept(changes(0, 1, [change("a", 1)], true), { whole: true }))
    await idle(applier)
    expect(ids(store)).toEqual([])
    applier.push(accept(changes(1, 2, [change("b", 2)]), { whole: true }))
    await idle(applier)
    expect(ids(store)).toEqual(["a", "b"])
  })
  test("does not hold up the one before it", async () => {
    const { store, applier } = setUp()
    applier.push(accept(changes(0, 1, [change("a", 1)]), { whole: true }))
    applier.push(accept(changes(1, 2, [change("b", 2)], true), { whole: true }))
    await idle(applier)
    expect(ids(store)).toEqual(["a"])
  })
  test("shows page by page during a catch-up", async () => {
    const { store, applier } = setUp()
    applier.push(accept(changes(0, 1, [change("a", 1)], true)))
    await idle(applier)
    expect(ids(store)).toEqual(["a"])
  })
})

test("traces of deletions are gone once everything older has come", async () => {
  const { store, applier } = setUp()
  await store.writeDocs([stored("a", 1), stored("b", 1)], [])
  applier.push(accept(changes(1, 1, [gone("a", 5), gone("b", 9)])))
  await idle(applier)
  expect([ids(store), store.docs.size]).toEqual([[], 2])
  applier.push(accept({ type: "LIVE", payload: { from: 1, to: 6, cursor: "c6" } }))
  await idle(applier)
  expect([...store.docs.keys()]).toEqual(["task|b"])
  applier.push(accept({ type: "HEARTBEAT", payload: { from: 6, to: 9, cursor: "c9", lagMs: 0 } }, { whole: true }))
  await idle(applier)
  expect(store.docs.size).toBe(0)
})
