/** The store's contract, held by each that keeps it. */
import { getRxStorageMemory } from "rxdb/plugins/storage-memory"
import { afterEach, describe, expect, test } from "vitest"
import type { Store, StoreChange, StoredDoc, StoredEdit } from "./store.ts"
import { documentKey } from "./store.ts"
import { createMemoryStore } from "./store-memory.ts"
import { openRxStore } from "./store-rxdb.ts"

const aDoc = (id: string, version: number, data: StoredDoc["data"] = { id }): StoredDoc => ({
  key: documentKey("task", id), entity: "task", id, scope: "p1", version, data, by: null, at: "",
})
const edit = (id: string, state: StoredEdit["state"] = "waiting"): StoredEdit => ({
  id, mutationId: id, entity: "task", entityId: "t", scope: "p1", op: "update", base: {}, data: {}, state, at: 0, appliedAt: null, current: null, message: null,
})

const KINDS: Readonly<Record<string, () => Promise<Store>>> = {
  memory: async () => createMemoryStore(),
  rxdb: () => openRxStore({ name: "a person/with ünusual name", storage: getRxStorageMemory(), shared: false }),
}

describe.for(Object.keys(KINDS))("%s", (kind) => {
  const opened: Array<Store> = []
  const open = async (): Promise<Store> => {
    const store = await KINDS[kind]!()
    opened.push(store)
    return store
  }
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.destroy()
  })

  test("documents are put, replaced and deleted in bulk, and every change is told", async () => {
    const store = await open()
    const told: Array<StoreChange> = []
    store.listen((change) => told.push(change))
    await store.writeDocs([aDoc("a", 1), aDoc("b", 2)], [])
    await store.writeDocs([aDoc("a", 3)], ["task|b"])
    expect([...store.docs.values()].map((d) => [d.id, d.version])).toEqual([["a", 3]])
    expect(told.flatMap((change) => change.docs).sort()).toEqual(["task|a", "task|a", "task|b", "task|b"])
    await store.writeDocs([aDoc("b", 4)], [])
    expect(store.docs.get("task|b")).toMatchObject({ version: 4, data: { id: "b" } })
  })

  test("what was deleted can come again under the same version", async () => {
    const store = await open()
    await store.writeDocs([aDoc("a", 1)], [])
    await store.writeDocs([], ["task|a"])
    await store.scrub()
    await store.writeDocs([aDoc("a", 1)], [])
    expect(store.docs.get("task|a")?.version).toBe(1)
  })

  test("what was deleted is not there when everything is read anew", async () => {
    const store = await open()
    await store.writeDocs([aDoc("a", 1)], [])
    await store.writeEdits([edit("1")], [])
    await store.writeDocs([], ["task|a"])
    await store.writeEdits([], ["1"])
    await store.refresh()
    expect([...store.docs.keys(), ...store.edits.keys()]).toEqual([])
  })

  test("edits and drafts show at once, and in the order they were written", async () => {
    const store = await open()
    const writes = [store.writeEdits([edit("1")], []), store.writeEdits([edit("1", "applied"), edit("2")], []), store.writeEdits([], ["2"])]
    expect([...store.edits.values()].map((e) => [e.id, e.state])).toEqual([["1", "applied"]])
    await Promise.all(writes)
    expect([...store.edits.values()].map((e) => [e.id, e.state])).toEqual([["1", "applied"]])
    const draft = { key: "task|t|title", entity: "task", entityId: "t", scope: "p1", field: "title", value: "half", at: 0 }
    void store.writeDrafts([draft], [])
    expect(store.drafts.get(draft.key)?.value).toBe("half")
    await store.writeDrafts([], [draft.key])
    expect(store.drafts.size).toBe(0)
  })

  test("where the documents stand is kept beside them", async () => {
    const store = await open()
    expect(await store.readHeld()).toEqual({ position: 0, cursor: null })
    await store.writeHeld({ position: 7, cursor: "c7" })
    await store.writeHeld({ position: 8, cursor: "c8" })
    expect(await store.readHeld()).toEqual({ position: 8, cursor: "c8" })
    expect(store.docs.size + store.edits.size + store.drafts.size).toBe(0)
  })

  test("nothing is told after the end of listening", async () => {
    const store = await open()
    let told = 0
    const stop = store.listen(() => told++)
    stop()
    await store.writeDocs([aDoc("a", 1)], [])
    expect(told).toBe(0)
  })
})

test("six people's replicas fit into one process, where RxDB allows thirteen collections", async () => {
  const stores = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => openRxStore({ name: `person ${n}`, storage: getRxStorageMemory(), shared: false })))
  for (const store of stores) await store.destroy()
})
