/**
 * How components change things. Every function shows its effect at once, in this tab and the others, and returns the id of the edit; what
 * becomes of it is seen in `Doc.edit`, and settled through stores/sync.ts (retry, discard, resolve).
 *
 *     const id = create("task", crypto.randomUUID(), project, { title: "…", status: "todo", position: 3 })
 *     update("task", id, { status: "done" })
 *     update("task", id, { title }, seen)        // seen: what stood there when typing began
 */
import type { EditedCode, Entities } from "./entities.ts"
import { ADDRESS } from "./entities.ts"
import { current } from "./replica.ts"
import type { Replica } from "../sync/replica.ts"

const replica = (): Replica => {
  if (current.value === null) throw new Error("nobody is signed in: there is no replica to edit")
  return current.value.replica
}

/** A new row. Give every column the screen needs, the server's defaults included: it shows as given until the server's row comes. */
export const create = <E extends EditedCode>(entity: E, id: string, scope: string | null, row: Partial<Entities[E]>): string => {
  const address = ADDRESS[entity]
  const data = { ...row, [address.id]: id, ...(address.scope === null ? {} : { [address.scope]: scope }) }
  return replica().edit({ entity, entityId: id, scope, op: "create", data })
}

/** Changes some columns. `base`: their values when the person began, if that was earlier than now; somebody else's change since then is a conflict. */
export const update = <E extends EditedCode>(entity: E, id: string, patch: Partial<Entities[E]>, base?: Partial<Entities[E]>): string =>
  replica().edit({
    entity,
    entityId: id,
    scope: current.value?.views.of(entity).docs.get(id)?.scope ?? null,
    op: "update",
    data: patch as Readonly<Record<string, unknown>>,
    ...(base === undefined ? {} : { base: base as Readonly<Record<string, unknown>> }),
  })

/** Deletes. Taken back by `discard` while it waits; afterwards, `create` with the old row. */
export const remove = (entity: EditedCode, id: string): string =>
  replica().edit({ entity, entityId: id, scope: current.value?.views.of(entity).docs.get(id)?.scope ?? null, op: "delete", data: {} })
