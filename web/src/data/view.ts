/**
 * Documents with edits laid over them, in memory, by entity and scope: between the store (sync/store.ts) and the composables (live.ts).
 *
 * The store says which documents and edits changed, once per write; only those are made anew, and each query is told only which of
 * its entity's ids changed. So a batch of a thousand changes costs each query on screen one pass, and one change costs it a few steps.
 */
import { overlaid } from "../sync/overlay.ts"
import type { Replica } from "../sync/replica.ts"
import type { StatusKind } from "../sync/status.ts"
import type { StoreChange, StoredEdit } from "../sync/store.ts"
import { documentKey } from "../sync/store.ts"
import type { Doc, DocEdit } from "./doc.ts"

/** One entity type. */
export interface View {
  readonly docs: ReadonlyMap<string, Doc>
  /** The ids in a scope. */
  readonly inScope: (scope: string) => ReadonlySet<string>
  /** Told which ids are other ones now. Returns what ends it. */
  readonly watch: (listener: (ids: ReadonlySet<string>) => void) => () => void
}

export interface Views {
  readonly of: (entity: string) => View
  readonly close: () => void
}

interface OwnView extends View {
  readonly docs: Map<string, Doc>
  readonly scopes: Map<string, Set<string>>
  readonly listeners: Set<(ids: ReadonlySet<string>) => void>
}

const NONE: ReadonlySet<string> = new Set()

/** `now`: milliseconds since 1970. */
export const createViews = (replica: Replica, now: () => number = Date.now): Views => {
  const { store } = replica
  const views = new Map<string, OwnView>()
  const editsOf = new Map<string, Array<StoredEdit>>()
  /** The key an edit is filed under, to find it when it is gone. */
  const keyOfEdit = new Map<string, string>()
  const versions = new Map<string, number>()
  let filling = true
  let status: StatusKind = replica.status$.value.kind

  const view = (entity: string): OwnView => {
    let found = views.get(entity)
    if (found === undefined) {
      const scopes = new Map<string, Set<string>>()
      const listeners = new Set<(ids: ReadonlySet<string>) => void>()
      found = {
        docs: new Map(),
        scopes,
        listeners,
        inScope: (scope) => scopes.get(scope) ?? NONE,
        watch: (listener) => {
          listeners.add(listener)
          return () => listeners.delete(listener)
        },
      }
      views.set(entity, found)
    }
    return found
  }

  const put = (entity: string, id: string, doc: Doc | null): void => {
    const { docs, scopes } = view(entity)
    const before = docs.get(id)
    if (before !== undefined && before.scope !== null && before.scope !== doc?.scope) scopes.get(before.scope)?.delete(id)
    if (doc === null) docs.delete(id)
    else {
      docs.set(id, doc)
      if (doc.scope !== null) {
        const scope = scopes.get(doc.scope)
        if (scope === undefined) scopes.set(doc.scope, new Set([id]))
        else scope.add(id)
      }
    }
  }

  const make = (key: string, entity: string, id: string): Doc | null => {
    const stored = store.docs.get(key)
    const edits = editsOf.get(key) ?? []
    const row = overlaid(stored, edits)
    const last = edits.at(-1)
    const before = view(entity).docs.get(id)
    const version = stored === undefined || stored.data === null ? 0 : stored.version
    const known = versions.get(key)
    if (stored === undefined) versions.delete(key)
    else versions.set(key, stored.version)
    if (row === null) return null
    // State of something newly granted comes while live too, but it is older than the position.
    const isNews = status === "live" && !filling && stored !== undefined && stored.version !== known && stored.version > replica.position()
    const byOther = isNews && stored.by !== replica.user
    return {
      id,
      scope: last?.op === "create" || stored === undefined ? (last?.scope ?? stored?.scope ?? null) : stored.scope,
      version,
      by: last === undefined ? (stored?.by ?? null) : replica.user,
      at: last === undefined ? (stored?.at ?? "") : new Date(last.at).toISOString(),
      row: row as never,
      edit: worst(edits, status),
      changedByOther: byOther ? { by: stored.by, at: now() } : last !== undefined || stored?.by === replica.user ? null : (before?.changedByOther ?? null),
    }
  }

  const touch = (keys: Iterable<string>): void => {
    const changed = new Map<string, Set<string>>()
    for (const key of keys) {
      const bar = key.indexOf("|")
      const entity = key.slice(0, bar)
      const id = key.slice(bar + 1)
      put(entity, id, make(key, entity, id))
      const ids = changed.get(entity)
      if (ids === undefined) changed.set(entity, new Set([id]))
      else ids.add(id)
    }
    for (const [entity, ids] of changed) for (const listener of view(entity).listeners) listener(ids)
  }

  const fileEdit = (id: string): string | undefined => {
    const edit = store.edits.get(id)
    const key = edit === undefined ? keyOfEdit.get(id) : documentKey(edit.entity, edit.entityId)
    if (key === undefined) return undefined
    const others = (editsOf.get(key) ?? []).filter((e) => e.id !== id)
    if (edit === undefined) keyOfEdit.delete(id)
    else {
      keyOfEdit.set(id, key)
      others.push(edit)
      others.sort((a, b) => (a.id < b.id ? -1 : 1))
    }
    if (others.length === 0) editsOf.delete(key)
    else editsOf.set(key, others)
    return key
  }

  const onChange = (change: StoreChange): void => {
    const keys = new Set(change.docs)
    for (const id of change.edits) {
      const key = fileEdit(id)
      if (key !== undefined) keys.add(key)
    }
    touch(keys)
  }

  for (const id of store.edits.keys()) fileEdit(id)
  touch(new Set([...store.docs.keys(), ...editsOf.keys()]))
  filling = false
  const stopStore = store.listen(onChange)
  const statusSubscription = replica.status$.subscribe((next) => {
    if (next.kind === status) return
    status = next.kind
    // Whether an edit is waiting or on its way is read off the status.
    touch([...editsOf.keys()])
  })

  return {
    of: view,
    close: () => {
      stopStore()
      statusSubscription.unsubscribe()
    },
  }
}

const RANK: Readonly<Record<DocEdit["state"], number>> = { conflict: 4, invalid: 3, denied: 2, waiting: 1, sending: 1 }

/** The edit that most needs looking at. One that the server has applied is saved: nothing to look at. */
const worst = (edits: ReadonlyArray<StoredEdit>, status: StatusKind): DocEdit | null => {
  let found: DocEdit | null = null
  for (const edit of edits) {
    if (edit.state === "applied") continue
    const state = edit.state === "waiting" && (status === "live" || status === "catching-up") ? "sending" : edit.state
    if (found !== null && RANK[found.state] >= RANK[state]) continue
    const { id, op, base, data, current, message, at } = edit
    found = { id, state, op, base, data, current, message, at }
  }
  return found
}

