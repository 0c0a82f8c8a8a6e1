/**
 * What components read: rows and documents that follow the replica, own edits included. Call these in `setup` (or any effect scope).
 *
 *     const tasks = useRows("task", () => ({ scope: props.project, where: { status: "todo" }, sort: "position" }))
 *     const task = useRow("task", () => route.params.id)
 *     useSubscription("file")              // while this component lives: `/files`
 *
 * Each ref is replaced, never changed in place, and only where its own result changed.
 */
import { onScopeDispose, shallowReadonly, shallowRef, watch } from "vue"
import type { ShallowRef } from "vue"
import type { Doc } from "./doc.ts"
import type { EntityCode } from "./entities.ts"
import type { Query } from "./query.ts"
import { runQuery } from "./query.ts"
import { current } from "./replica.ts"

const NO_ROWS: ReadonlyArray<never> = []

/** The rows of a type that match. What the getter reads is tracked; so is what `where` and `sort` read while the query is set up. */
export const useRows = <E extends EntityCode, const Q extends Query<NoInfer<E>> = Query<E>>(
  entity: E,
  query: () => Q = () => ({}) as Q,
): Readonly<ShallowRef<ReadonlyArray<Doc<E>>>> => {
  const rows = shallowRef<ReadonlyArray<Doc<E>>>(NO_ROWS)
  let stop = (): void => {}
  watch(
    () => {
      const view = current.value?.views.of(entity)
      return view === undefined ? null : { view, running: runQuery<E>(view, query()) }
    },
    (now) => {
      stop()
      rows.value = now?.running.rows ?? NO_ROWS
      stop = now === null ? () => {} : now.view.watch((ids) => (rows.value = now.running.update(ids)))
    },
    { immediate: true, flush: "sync" },
  )
  onScopeDispose(() => stop())
  return shallowReadonly(rows)
}

/** One document, or null where there is none, or where `id` gives null. */
export const useRow = <E extends EntityCode>(entity: E, id: () => string | null | undefined): Readonly<ShallowRef<Doc<E> | null>> => {
  const row = shallowRef<Doc<E> | null>(null)
  let stop = (): void => {}
  watch(
    [() => current.value?.views.of(entity), () => id() ?? null],
    ([view, wanted]) => {
      stop()
      const read = (): Doc<E> | null => (wanted === null ? null : ((view?.docs.get(wanted) as Doc<E> | undefined) ?? null))
      row.value = read()
      stop = view === undefined || wanted === null ? () => {} : view.watch((ids) => void (ids.has(wanted) && (row.value = read())))
    },
    { immediate: true, flush: "sync" },
  )
  onScopeDispose(() => stop())
  return shallowReadonly(row)
}

/** Holds a type, or some scopes of it, for as long as the component lives. Several components may hold the same. */
export const useSubscription = (entity: EntityCode, scopes: () => ReadonlyArray<string> | undefined = () => undefined): void => {
  let release = (): void => {}
  watch(
    [current, () => scopes()?.join("\0")],
    ([now]) => {
      const before = release
      const only = scopes()
      release = now?.replica.subscribe([only === undefined ? { entityCode: entity } : { entityCode: entity, scopes: only }]) ?? (() => {})
      // The new one first: what both want is never let go of.
      before()
    },
    { immediate: true },
  )
  onScopeDispose(() => release())
}
