/**
 * Deletions that can still be undone. The row is hidden at once and removed when its toast ends: undoing then loses nothing, not even
 * the comments that a removed task takes with it. What a closed tab left undone is in localStorage and done at the next start.
 */
import { defineStore } from "pinia"
import { shallowReactive, watch } from "vue"
import { remove } from "../data/edit.ts"
import type { EditedCode } from "../data/entities.ts"
import { current } from "../data/replica.ts"
import { documentKey } from "../sync/store.ts"
import { useAnnouncer } from "./announcer.ts"
import { useSession } from "./session.ts"
import { UNDO, useToasts } from "./toasts.ts"

type Address = readonly [entity: EditedCode, id: string]

export const useDeletions = defineStore("deletions", () => {
  const toasts = useToasts()
  const announcer = useAnnouncer()
  const session = useSession()
  const hidden = shallowReactive(new Map<string, Address>())
  /** The toast of each, whose words name it. */
  const toastOf = new Map<string, number>()
  const storeKey = (user: string): string => `tideline.deleting.${user}`

  const save = (user: string): void => {
    if (hidden.size === 0) localStorage.removeItem(storeKey(user))
    else localStorage.setItem(storeKey(user), JSON.stringify([...hidden.values()]))
  }
  const load = (user: string): ReadonlyArray<Address> => {
    try {
      const saved: unknown = JSON.parse(localStorage.getItem(storeKey(user)) ?? "[]")
      return Array.isArray(saved) ? (saved as ReadonlyArray<Address>) : []
    } catch {
      return []
    }
  }

  watch(current, (now, _, onCleanup) => {
    hidden.clear()
    if (now === null) return
    const { user, store } = now.replica
    const left = load(user)
    save(user)
    for (const [entity, id] of left) if (store.docs.has(documentKey(entity, id))) remove(entity, id)
    // What was lost meanwhile is nobody's to remove any more, and not to be named.
    onCleanup(store.listen(({ docs }) => {
      for (const key of docs) if (hidden.has(key) && !store.docs.has(key)) forget(key, user)
    }))
  }, { immediate: true })
  watch(() => session.user, (user, before) => {
    toastOf.clear()
    if (user === null && before !== null) localStorage.removeItem(storeKey(before))
  })

  const forget = (key: string, user: string): void => {
    hidden.delete(key)
    save(user)
    const toast = toastOf.get(key)
    toastOf.delete(key)
    if (toast !== undefined) toasts.withdraw(toast)
  }
  const has = (entity: EditedCode, id: string): boolean => hidden.has(documentKey(entity, id))

  /** Hides the row, offers to undo, and removes it when nobody did. */
  const ask = (entity: EditedCode, id: string, what: string): void => {
    const user = current.value?.replica.user
    if (user === undefined || has(entity, id)) return
    const key = documentKey(entity, id)
    hidden.set(key, [entity, id])
    save(user)
    const toast = toasts.show(`Deleted ${what}`, {
      button: {
        label: UNDO,
        press: () => {
          toastOf.delete(key)
          hidden.delete(key)
          save(user)
          announcer.say(`${what} is back`)
        },
      },
      done: () => {
        toastOf.delete(key)
        if (!hidden.has(key) || current.value?.replica.user !== user) return
        remove(entity, id)
        hidden.delete(key)
        save(user)
      },
    })
    toastOf.set(key, toast)
  }

  return { has, ask }
})
