/**
 * Text that is being written and not yet kept: in localStorage under the user's name, so that a reload, a crash or a closed lid
 * takes nothing away. A draft remembers the value it began from; whoever keeps it can see that somebody else was there meanwhile.
 */
import { defineStore } from "pinia"
import { shallowReactive } from "vue"
import { useSession } from "./session.ts"

export interface Draft {
  readonly text: string
  /** What stood there when the writing began. */
  readonly base: string
}

const isDraft = (x: unknown): x is Draft =>
  typeof x === "object" && x !== null && typeof (x as Draft).text === "string" && typeof (x as Draft).base === "string"

export const useDrafts = defineStore("drafts", () => {
  const session = useSession()
  const drafts = shallowReactive(new Map<string, Draft | null>())
  const keyOf = (what: string): string => `tideline.draft.${session.user ?? ""}.${what}`

  const load = (key: string): Draft | null => {
    try {
      const saved: unknown = JSON.parse(localStorage.getItem(key) ?? "null")
      return isDraft(saved) ? saved : null
    } catch {
      return null
    }
  }
  /** The draft of `what` (such as `task.<id>.title`), or null. */
  const get = (what: string): Draft | null => {
    const key = keyOf(what)
    if (!drafts.has(key)) drafts.set(key, load(key))
    return drafts.get(key) ?? null
  }
  /** Keeps the text; null forgets it. A full disk must not stop the writing, so a failed write keeps the draft in memory only. */
  const set = (what: string, draft: Draft | null): void => {
    const key = keyOf(what)
    drafts.set(key, draft)
    try {
      if (draft === null) localStorage.removeItem(key)
      else localStorage.setItem(key, JSON.stringify(draft))
    } catch {
      return
    }
  }
  return { get, set }
})
