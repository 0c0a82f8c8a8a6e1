/** The project one was in last, by its id, in localStorage: where the way in leads. Forgotten with the project, and with whoever signs out. */
import { defineStore } from "pinia"
import { watch } from "vue"
import { useSession } from "./session.ts"

const KEY = "tideline.project"

export const useLastProject = defineStore("last-project", () => {
  const session = useSession()
  const read = (): string | null => localStorage.getItem(KEY)
  const keep = (id: string): void => localStorage.setItem(KEY, id)
  const forget = (id: string): void => {
    if (read() === id) localStorage.removeItem(KEY)
  }
  watch(() => session.user, (user) => user === null && localStorage.removeItem(KEY))
  return { read, keep, forget }
})
