/**
 * Changes of access on their way. Each is shown as under way at once, and as done only when whoever shows it sees it done: the live replica, or a
 * new answer of authz. So what is shown as granted is granted. Undo is another change, the one that puts it back.
 */
import { defineStore } from "pinia"
import { ref, shallowRef } from "vue"
import type { AccessChange } from "#protocol/access-change.ts"
import { changeAccess } from "../data/access.ts"
import { useAnnouncer } from "./announcer.ts"
import { useSession } from "./session.ts"
import { UNDO, useToasts } from "./toasts.ts"

type Unsent<C> = C extends unknown ? Omit<C, "id"> : never
/** A change without its id. */
export type Wish = Unsent<AccessChange>

export interface Underway {
  readonly change: AccessChange
  /** As it will be told when it is done. */
  readonly words: string
}

export interface Asking {
  /** "Grace may edit everything in Ferry booking" */
  readonly words: string
  readonly undo: AccessChange | null
  /** Resolves when it is seen to be done. */
  readonly seen: (change: AccessChange) => Promise<void>
}

export const useAccessChanges = defineStore("access-changes", () => {
  const session = useSession()
  const toasts = useToasts()
  const announcer = useAnnouncer()
  const underway = shallowRef<ReadonlyArray<Underway>>([])
  /** Counts those that were done: an answer of authz that is older is old. */
  const done = ref(0)

  /** Whether it came about. */
  const submit = async (change: AccessChange, { words, undo, seen }: Asking): Promise<boolean> => {
    const { token } = session
    if (token === null) return false
    const entry = { change, words }
    underway.value = [...underway.value, entry]
    try {
      const { status, message } = await changeAccess(token, change)
      if (status !== "applied") {
        toasts.show(
          status === "denied"
            ? "You may not do this. It takes Share or more on all of it, and no less than the level that is given or taken back."
            : `This cannot be: ${message ?? "check what you chose"}`,
          { kind: "bad" },
        )
        return false
      }
      await seen(change)
      done.value += 1
      announcer.say(words)
      const button = undo === null ? null : { label: UNDO, press: () => void submit(undo, { words: `Undone: ${words}`, undo: null, seen }) }
      toasts.show(words, button === null ? {} : { button })
      return true
    } catch (error) {
      toasts.show(error instanceof Error ? error.message : String(error), { kind: "bad" })
      return false
    } finally {
      underway.value = underway.value.filter((one) => one !== entry)
    }
  }

  return { underway, done, submit }
})
