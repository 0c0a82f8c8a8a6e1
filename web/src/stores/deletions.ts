/**
 * Deletions that can still be undone. The row is hidden at once and removed when its toast ends: undoing then loses nothing, not even
 * the comments that a removed task takes with it. What a closed tab left undone is in localStorage and done at the next start.
 */
import { defineStore } from "pinia"
import { shallowReactive, watch } from "vue"
import type { EntityCode } from "../data/entities.ts"
import { remove } from "../data/edit.ts"
import { useAnnouncer } from "./announcer.ts"
import { useSession } from "./session.ts"
import { useToasts } from "./toasts.ts"

type Address = readonly [entity: EntityCode, id: string]

export const useDeletions = defineStore("deletions", () => {
  const session = useSession()
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

  watch(() => session.user, async (user, before) => {
    if (before) for (const [entity, id] of hidden.values()) await remove(entity, id)
    hidden.clear()
    if (!user) return
    const left = load(user)
    localStorage.removeItem(storeKey(user))
    for (const [entity, id] of left) await remove(entity, id)
  }, { immediate: true })

  const has = (entity: EntityCode, id: string): boolean => hidden.has(keyOf(entity, id))

  /** Hides the row, offers to undo, and removes it when nobody did. */
  const ask = (entity: EntityCode, id: string, what: string): void => {
    const user = session.user
    if (!user || has(entity, id)) return
    const key = keyOf(entity, id)
    hidden.set(key, [entity, id])
    save(user)
    const text = `Deleted ${what}`
    announcer.say(text)
    toasts.show(text, {
      undo: () => {
        hidden.delete(key)
        save(user)
        announcer.say(`${what} is back`)
      },
      done: async () => {
        if (!hidden.has(key) || session.user !== user) return
        await remove(entity, id)
        hidden.delete(key)
        save(user)
      },
    })
  }

  return { has, ask }
})
