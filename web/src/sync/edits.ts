/** What a person does, as edits in the store: the same in every tab, whether it leads or not. From data/edit.ts, to push.ts. */
import { overlaid, sameValue, valuesOf } from "./overlay.ts"
import type { Settlement } from "./push.ts"
import { discarded, resolved, retried } from "./push.ts"
import type { EditRequest, Replica, Resolution } from "./replica.ts"
import type { Store, StoredEdit } from "./store.ts"
import { documentKey } from "./store.ts"

export type Edits = Pick<Replica, "edit" | "retry" | "discard" | "resolve">

export interface EditsOptions {
  readonly store: Store
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** The device did not keep an edit that already shows. */
  readonly onUnsaved: (error: unknown) => void
}

export const createEdits = ({ store, now, onUnsaved }: EditsOptions): Edits => {
  const newId = idsByTime(now)

  const editsOn = (entity: string, entityId: string): ReadonlyArray<StoredEdit> =>
    [...store.edits.values()].filter((one) => one.entity === entity && one.entityId === entityId).sort((a, b) => (a.id < b.id ? -1 : 1))
  const after = (edit: StoredEdit): ReadonlyArray<StoredEdit> => editsOn(edit.entity, edit.entityId).filter((one) => one.id > edit.id && one.state !== "applied")
  const write = ({ puts, deletes }: Settlement): void => void store.writeEdits(puts, deletes).catch(onUnsaved)
  const settle = (id: string, how: (edit: StoredEdit) => Settlement): void => {
    const edit = store.edits.get(id)
    if (edit !== undefined && edit.state !== "applied") write(how(edit))
  }

  return {
    edit: ({ entity, entityId, scope, op, data, base }: EditRequest): string => {
      const id = newId()
      const shown = overlaid(store.docs.get(documentKey(entity, entityId)), editsOn(entity, entityId))
      // What already stands there needs no edit.
      const changed = op === "update" ? Object.fromEntries(Object.entries(data).filter(([field, value]) => !sameValue(value, shown?.[field]))) : data
      if (op === "update" && Object.keys(changed).length === 0) return id
      const seen = op === "update" ? { ...valuesOf(shown, changed), ...(base === undefined ? {} : valuesOf(base, pick(changed, base))) } : {}
      const edit: StoredEdit = {
        id, mutationId: id, entity, entityId, scope, op, base: seen, data: changed, state: "waiting", at: now(), appliedAt: null, current: null, message: null,
      }
      write({ puts: [edit], deletes: [] })
      return id
    },
    retry: (id) => settle(id, (edit) => ({ puts: [retried(edit, newId())], deletes: [] })),
    discard: (id) => settle(id, (edit) => discarded(edit, after(edit))),
    resolve: (id, how: Resolution) =>
      settle(id, (edit) => resolved(edit, after(edit), how, newId(), store.docs.get(documentKey(edit.entity, edit.entityId))?.data ?? null)),
  }
}

const pick = (row: Readonly<Record<string, unknown>>, fields: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(row).filter(([field]) => Object.hasOwn(fields, field)))

/** UUIDs (version 7) that grow: also within a millisecond, and where the clock steps back. */
const idsByTime = (now: () => number): (() => string) => {
  let last = 0
  let count = 0
  return () => {
    const time = now()
    count = time > last ? 0 : count + 1
    last = Math.max(last, time)
    // Twelve bits count within a millisecond; beyond that, borrow from the next.
    if (count > 0xfff) {
      last++
      count = 0
    }
    const random = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("")
    const head = last.toString(16).padStart(12, "0")
    const variant = (8 + (Number.parseInt(random[0]!, 16) & 3)).toString(16)
    return `${head.slice(0, 8)}-${head.slice(8)}-7${count.toString(16).padStart(3, "0")}-${variant}${random.slice(1, 4)}-${random.slice(4)}`
  }
}
