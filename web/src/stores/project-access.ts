/**
 * What the signed-in person holds on all of the project on screen: whether they may share it, and up to which level. Authz is asked, about oneself, when
 * a project is opened, when this page is newly in step with the server, when somebody comes back to it, and after changes made here: a level that grows
 * or shrinks above VIEW moves no document, so nothing else tells of it. What it says only decides what is shown; each change is decided anew where it is made.
 */
import { defineStore } from "pinia"
import { computed, ref, watch } from "vue"
import type { Level } from "#protocol/grant.ts"
import { LEVELS } from "#protocol/grant.ts"
import { levelOn } from "../data/access.ts"
import { current } from "../data/replica.ts"
import { useAccessChanges } from "./access-changes.ts"
import { useSession } from "./session.ts"
import { useSync } from "./sync.ts"

export const useProjectAccess = defineStore("project-access", () => {
  const session = useSession()
  const sync = useSync()
  const changes = useAccessChanges()
  const project = ref<string | null>(null)
  const level = ref<Level | null>(null)
  const mayShare = computed(() => level.value !== null && LEVELS.indexOf(level.value) >= LEVELS.indexOf("SHARE"))
  let asked = 0

  const look = async (): Promise<void> => {
    const { user, token } = session
    const scope = project.value
    if (user === null || token === null || scope === null) return
    const mine = ++asked
    try {
      const held = await levelOn(token, { of: `user:${user}`, scope }, current.value?.replica.position() ?? 0)
      if (mine === asked) level.value = held
    } catch {
      // Not known: what was known stays, and the next time in step asks again.
    }
  }

  watch([project, () => session.user], () => {
    asked += 1
    level.value = null
    void look()
  }, { flush: "sync" })
  watch([() => sync.status.kind === "live", () => changes.done], ([live]) => void (live && look()))
  addEventListener("focus", () => void look())

  return { project, level, mayShare, look }
})
