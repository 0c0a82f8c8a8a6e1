/** What the parts of the administrator's page share: the live grants and memberships, names, and how a change is asked for. AdminView.vue makes one. */
import { computed, inject, watch, type ComputedRef, type InjectionKey } from "vue"
import type { AccessChange } from "#protocol/access-change.ts"
import type { GrantRow, MemberRow } from "../../data/entities.ts"
import { useRows } from "../../data/live.ts"
import { useAccessChanges, type Wish } from "../../stores/access-changes.ts"
import { useWorkspace } from "../../stores/workspace.ts"
import { inverse, isDone, type Held } from "./changes.ts"
import type { Names } from "./words.ts"

export interface Admin {
  readonly grants: ComputedRef<ReadonlyArray<GrantRow>>
  readonly members: ComputedRef<ReadonlyArray<MemberRow>>
  /** Another one whenever either changed. */
  readonly changed: ComputedRef<unknown>
  readonly names: Names
  /** Whether the change came about. `words`: as it is told when it is done. */
  readonly change: (wish: Wish, words: string) => Promise<boolean>
}

export const ADMIN: InjectionKey<Admin> = Symbol("admin")
export const useAdmin = (): Admin => inject(ADMIN)!

export const useNames = (): Names => {
  const workspace = useWorkspace()
  const titles = computed(() => new Map(workspace.tasks.map((task) => [task.id, task.row.title])))
  return {
    person: (id) => workspace.person(id).name,
    project: (id) => workspace.project(id)?.row.name ?? null,
    task: (id) => titles.value.get(id) ?? null,
  }
}

export const makeAdmin = (): Admin => {
  const changes = useAccessChanges()
  const grantDocs = useRows("_grant")
  const memberDocs = useRows("_member")
  const grants = computed(() => grantDocs.value.map((doc) => doc.row))
  const members = computed(() => memberDocs.value.map((doc) => doc.row))
  const changed = computed(() => [grants.value, members.value])
  const held = (): Held => ({ grants: grants.value, members: members.value })

  /** The live replica shows it. */
  const seen = (change: AccessChange): Promise<void> =>
    new Promise((resolve) => {
      const stop = watch(changed, () => {
        if (!isDone(change, held())) return
        queueMicrotask(() => stop())
        resolve()
      }, { immediate: true })
    })

  return {
    grants,
    members,
    changed,
    names: useNames(),
    change: (wish, words) => {
      const change = { ...wish, id: crypto.randomUUID() } as AccessChange
      return changes.submit(change, { words, undo: inverse(change, held(), crypto.randomUUID()), seen })
    },
  }
}
