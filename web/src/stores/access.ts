/**
 * What the signed-in person may do about access itself: whether the page is theirs to see, and what of it they may change. Authz is asked, about
 * oneself, whenever this page is newly in step with the server: after signing in, after coming back, and when the page is opened. What it says
 * only decides what is shown; each change is decided anew where it is made.
 */
import { defineStore } from "pinia"
import { ref, watch } from "vue"
import type { Level } from "#protocol/grant.ts"
import { levelOn } from "../data/access.ts"
import { useSession } from "./session.ts"
import { useSync } from "./sync.ts"

export const useAccess = defineStore("access", () => {
  const session = useSession()
  const sync = useSync()
  /** Sees grants and memberships; null: not known yet. */
  const mayLook = ref<boolean | null>(null)
  const mayChangeMembers = ref(false)
  const maySignOut = ref(false)
  let asked = 0

  const look = async (): Promise<void> => {
    const { user, token } = session
    if (user === null || token === null) return
    const mine = ++asked
    const on = (entity: string): Promise<Level | null> => levelOn(token, { of: `user:${user}`, entity })
    try {
      const [grants, members, signOuts] = await Promise.all([on("_grant"), on("_member"), on("_sign_out")])
      if (mine !== asked) return
      mayLook.value = grants !== null && members !== null
      mayChangeMembers.value = members !== null && members !== "VIEW"
      maySignOut.value = signOuts !== null && signOuts !== "VIEW"
    } catch {
      // Not known: what was known stays, and the next time in step asks again.
    }
  }

  watch(() => session.user, () => {
    asked += 1
    mayLook.value = null
    mayChangeMembers.value = false
    maySignOut.value = false
  })
  watch([() => session.user, () => sync.status.kind === "live"], ([user, live]) => void (user !== null && live && look()), { immediate: true })

  return { mayLook, mayChangeMembers, maySignOut, look }
})
