/** A query that follows changes is the query asked anew: the same rows in the same order, whatever changed. */
import { expect, test } from "vitest"
import { property } from "#test/support/random.ts"
import { createMemoryStore } from "../sync/store-memory.ts"
import { BehaviorSubject } from "rxjs"
import type { Replica } from "../sync/replica.ts"
import type { Status } from "../sync/status.ts"
import type { StoredEdit } from "../sync/store.ts"
import { documentKey } from "../sync/store.ts"
import type { TaskRow } from "./entities.ts"
import type { Query } from "./query.ts"
import { runQuery } from "./query.ts"
import { createViews } from "./view.ts"

const setUp = (status: Status = { kind: "live", latencyMs: 1, lagMs: 0 }) => {
  const store = createMemoryStore()
  let position = 0
  const status$ = new BehaviorSubject<Status>(status)
  const replica = { user: "ada", store, status$, position: () => position } as unknown as Replica
  return { store, status$, views: createViews(replica, () => 1_000), standAt: (at: number) => (position = at) }
}
const doc = (id: string, version: number, data: Partial<TaskRow> | null, more: { scope?: string; by?: string } = {}) => ({
  key: documentKey("task", id), entity: "task", id, scope: more.scope ?? "p1", version, data, by: more.by ?? "grace", at: "2026-11-21T10:00:00Z",
})
const edit = (id: string, over: Partial<StoredEdit>): StoredEdit => ({
  id, mutationId: id, entity: "task", entityId: "t", scope: "p1", op: "update", base: {}, data: {}, state: "waiting", at: 0, appliedAt: null, current: null, message: null, ...over,
})

const QUERIES: ReadonlyArray<Query<"task">> = [
  {},
  { scope: "p1" },
  { where: { status: "todo" }, sort: "position" },
  { scope: "p2", where: { status: "done" }, sort: (a, b) => b.row.position - a.row.position },
  { where: (task) => task.row.position > 50, sort: "title" },
]

property("following changes comes to the same as asking anew", 4, async (random) => {
  const { store, views } = setUp()
  const view = views.of("task")
  const running = QUERIES.map((query) => ({ query, run: runQuery(view, query) }))
  view.watch((ids) => {
    for (const { run } of running) run.update(ids)
  })
  let version = 0
  for (let i = 0; i < 100; i++) {
    const some = Array.from({ length: random.int(10) === 0 ? 60 : 1 + random.int(3) }, () => `t${random.int(80)}`)
    const ids = [...new Set(some)]
    const puts = ids.filter(() => random.next() < 0.8)
    const row = (): Partial<TaskRow> => ({ status: random.pick(["todo", "done"] as const), position: random.int(100), title: String(random.int(9)) })
    if (random.next() < 0.2) {
      const id = `e${random.int(5)}`
      const over = { entityId: random.pick(ids), data: row(), op: random.pick(["create", "update", "delete"] as const) }
      await (random.next() < 0.5 ? store.writeEdits([edit(id, over)], []) : store.writeEdits([], [id]))
    } else {
      await store.writeDocs(
        puts.map((id) => doc(id, ++version, row(), { scope: random.pick(["p1", "p2"]) })),
        ids.filter((id) => !puts.includes(id)).map((id) => documentKey("task", id)),
      )
    }
    for (const { query, run } of running) expect(run.rows).toEqual(runQuery(view, query).rows)
  }
})

test("a result that did not change is the same array", async () => {
  const { store, views } = setUp()
  const view = views.of("task")
  await store.writeDocs([doc("a", 1, { status: "todo" }), doc("b", 2, { status: "done" })], [])
  const todo = runQuery<"task">(view, { where: { status: "todo" } })
  const before = todo.rows
  view.watch((ids) => todo.update(ids))
  await store.writeDocs([doc("b", 3, { status: "review" })], [])
  expect(todo.rows).toBe(before)
})

test("somebody else's change glows while live; one's own does not, nor what one only now may see", async () => {
  const { store, status$, views, standAt } = setUp()
  const glow = () => views.of("task").docs.get("t")?.changedByOther
  await store.writeDocs([doc("t", 1, {}, { by: "grace" })], [])
  expect(glow()).toEqual({ by: "grace", at: 1_000 })
  await store.writeDocs([doc("t", 2, {}, { by: "ada" })], [])
  expect(glow()).toBeNull()
  standAt(9)
  await store.writeDocs([doc("granted", 5, {}, { by: "grace" })], [])
  expect(views.of("task").docs.get("granted")?.changedByOther).toBeNull()
  standAt(2)
  status$.next({ kind: "catching-up", done: 0, of: 0 })
  await store.writeDocs([doc("t", 3, {}, { by: "grace" })], [])
  expect(glow()).toBeNull()
})

test("an edit is waiting offline, sending online, nothing once applied; the worst of several shows", async () => {
  const { store, status$, views } = setUp({ kind: "offline", since: 0, waiting: 1, reason: null })
  const shown = () => views.of("task").docs.get("t")?.edit
  await store.writeDocs([doc("t", 1, { title: "old" })], [])
  await store.writeEdits([edit("1", { data: { title: "new" } })], [])
  expect(shown()).toMatchObject({ id: "1", state: "waiting" })
  status$.next({ kind: "live", latencyMs: null, lagMs: 0 })
  expect(shown()).toMatchObject({ id: "1", state: "sending" })
  await store.writeEdits([edit("2", { state: "conflict", current: { title: "theirs" } })], [])
  expect(shown()).toMatchObject({ id: "2", state: "conflict" })
  await store.writeEdits([edit("1", { state: "applied", data: { title: "new" } })], ["2"])
  expect(shown()).toBeNull()
  expect(views.of("task").docs.get("t")?.row).toMatchObject({ title: "new" })
})
