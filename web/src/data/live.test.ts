/** What components read follows the replica, and whoever is signed in. */
import { BehaviorSubject } from "rxjs"
import { afterEach, expect, test } from "vitest"
import { effectScope, nextTick, ref, watch } from "vue"
import { createEdits } from "../sync/edits.ts"
import type { Replica, Wanted } from "../sync/replica.ts"
import type { Status } from "../sync/status.ts"
import { documentKey } from "../sync/store.ts"
import { createMemoryStore } from "../sync/store-memory.ts"
import { useDraft } from "./drafts.ts"
import { create, remove, update } from "./edit.ts"
import { useRow, useRows, useSubscription } from "./live.ts"
import { current } from "./replica.ts"
import { createViews } from "./view.ts"

const signIn = () => {
  const store = createMemoryStore()
  const wanted = new Set<ReadonlyArray<Wanted>>()
  const replica = {
    user: "ada",
    store,
    status$: new BehaviorSubject<Status>({ kind: "live", latencyMs: 1, lagMs: 0 }),
    position: () => 0,
    ...createEdits({ store, now: Date.now, onUnsaved: () => {} }),
    subscribe: (some: ReadonlyArray<Wanted>) => {
      wanted.add(some)
      return () => wanted.delete(some)
    },
  } as unknown as Replica
  current.value = { replica, views: createViews(replica) }
  return { store, wanted }
}
const scope = effectScope(true)
const inSetup = <T>(work: () => T): T => scope.run(work)!
afterEach(() => {
  current.value = null
})

const task = (id: string, version: number, data: Readonly<Record<string, unknown>>, project = "p1") => ({
  key: documentKey("task", id), entity: "task", id, scope: project, version, data, by: "grace", at: "",
})

test("rows follow documents, edits, what the query reads, and who is signed in", async () => {
  const project = ref("p1")
  const rows = inSetup(() => useRows("task", () => ({ scope: project.value, where: { status: "todo" }, sort: "position" })))
  const titles = () => rows.value.map((doc) => doc.row.title)
  expect(titles()).toEqual([])
  const { store } = signIn()
  await store.writeDocs([task("a", 1, { title: "a", status: "todo", position: 2 }), task("b", 2, { title: "b", status: "todo", position: 1 }), task("c", 3, { title: "c", status: "todo", position: 0 }, "p2")], [])
  expect(titles()).toEqual(["b", "a"])
  update("task", "a", { position: 0 })
  expect(titles()).toEqual(["a", "b"])
  update("task", "a", { status: "done" })
  create("task", "n", "p1", { title: "new", status: "todo", position: 5 })
  expect(titles()).toEqual(["b", "new"])
  expect(store.edits.size).toBe(3)
  expect([...store.edits.values()].at(-1)!.data).toEqual({ id: "n", project_id: "p1", title: "new", status: "todo", position: 5 })
  project.value = "p2"
  expect(titles()).toEqual(["c"])
  current.value = null
  expect(titles()).toEqual([])
})

test("one row is told of its own changes only", async () => {
  const id = ref<string | null>(null)
  const row = inSetup(() => useRow("task", () => id.value))
  const { store } = signIn()
  let told = 0
  inSetup(() => watch(row, () => told++, { flush: "sync" }))
  await store.writeDocs([task("a", 1, { title: "a" }), task("b", 2, { title: "b" })], [])
  expect(row.value).toBeNull()
  id.value = "a"
  expect(row.value?.row.title).toBe("a")
  await store.writeDocs([task("b", 3, { title: "b2" })], [])
  expect(told).toBe(1)
  update("task", "a", { title: "mine" })
  expect([told, row.value?.row.title, row.value?.by]).toEqual([2, "mine", "ada"])
  remove("task", "a")
  expect(row.value).toBeNull()
})

test("a subscription is held while its component lives, and never let go of in between", async () => {
  const { wanted } = signIn()
  const scopes = ref(["p1"])
  const component = effectScope(true)
  component.run(() => useSubscription("file", () => scopes.value))
  expect([...wanted].flat()).toEqual([{ entityCode: "file", scopes: ["p1"] }])
  scopes.value = ["p1", "p2"]
  await nextTick()
  expect([...wanted].flat()).toEqual([{ entityCode: "file", scopes: ["p1", "p2"] }])
  component.stop()
  expect(wanted.size).toBe(0)
})

test("a draft is kept apart from the row, by field, until it is dropped", () => {
  const { store } = signIn()
  const draft = inSetup(() => useDraft("task", () => "a", "title"))
  draft.value = "half a th"
  expect([draft.value, store.drafts.get("task|a|title")?.value]).toEqual(["half a th", "half a th"])
  expect(inSetup(() => useDraft("task", () => "a", "description")).value).toBeNull()
  draft.value = null
  expect(store.drafts.size).toBe(0)
})
