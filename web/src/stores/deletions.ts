/**
 * Deletions that can still be undone. The row is hidden at once and removed when its toast ends: undoing then loses nothing, not even
 * the comments that a removed task takes with it. What a closed tab left undone is in localStorage and done at the next start.
 */
import { defineStore } from "pinia"
import { shallowReactive, watch } from "vue"
import { remove } from "../data/edit.ts"
import type { EntityCode } from "../data/entities.ts"
import { current } from "../data/replica.ts"
import { useAnnouncer } from "./announcer.ts"
import { UNDO, useToasts } from "./toasts.ts"

type Address = readonly [entity: EntityCode, id: string]

export const useDeletions = defineStore("deletions", () => {
  const toasts = useToasts()
  const announcer = useAnnouncer()
  const hidden = shallowReactive(new Map<string, Address>())
  const storeKey = (user: string): string => `tideline.deleting.${user}`
  const keyOf = (entity: EntityCode, id: string): string => `${entity}|${id}`

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

  watch(current, (now) => {
    hidden.clear()
    if (now === null) return
    const left = load(now.replica.user)
    save(now.replica.user)
    for (const [entity, id] of left) remove(entity, id)
  }, { immediate: true })

  const has = (entity: EntityCode, id: string): boolean => hidden.has(keyOf(entity, id))

  /** Hides the row, offers to undo, and removes it when nobody did. */
  const ask = (entity: EntityCode, id: string, what: string): void => {
    const user = current.value?.replica.user
    if (user === undefined || has(entity, id)) return
    const key = keyOf(entity, id)
    hidden.set(key, [entity, id])
    save(user)
    toasts.show(`Deleted ${what}`, {
      button: {
        label: UNDO,
        press: () => {
          hidden.delete(key)
          save(user)
          announcer.say(`${what} is back`)
        },
      },
      done: () => {
        if (!hidden.has(key) || current.value?.replica.user !== user) return
        remove(entity, id)
        hidden.delete(key)
        save(user)
      },
    })
  }

  return { has, ask }
})
