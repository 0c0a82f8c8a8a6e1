/**
 * Who is signed in, in this tab. Signing in opens that person's own database; two people on one browser never mix. The token stays in
 * localStorage so that a reload, offline too, goes on where it was.
 */
import { defineStore } from "pinia"
import { ref } from "vue"
import { current } from "../data/replica.ts"
import { createViews } from "../data/view.ts"
import { ALWAYS } from "../data/entities.ts"
import { openTab } from "../sync/tab.ts"

const KEY = "tideline.session"

interface Kept {
  readonly user: string
  readonly token: string
}

const kept = (): Kept | null => {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "null") as Partial<Kept> | null
    return typeof found?.user === "string" && typeof found.token === "string" ? { user: found.user, token: found.token } : null
  } catch {
    return null
  }
}

/** Why a sign-in did not come about: for people. */
export class SignInError extends Error {
  override readonly name = "SignInError"
}

/** A token for one of the demo's people. Rejects with SignInError. */
const demoToken = async (user: string): Promise<string> => {
  const answer = await fetch("/v1/demo/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user }),
  }).catch(() => null)
  if (answer === null) throw new SignInError("The server does not answer. Are you online?")
  if (!answer.ok) throw new SignInError(answer.status === 404 ? `There is no person called ${user} here.` : `The server refused (${answer.status}).`)
  return ((await answer.json()) as { readonly token: string }).token
}

export const useSession = defineStore("session", () => {
  const user = ref<string | null>(null)
  const token = ref<string | null>(null)

  const open = async (who: Kept): Promise<void> => {
    await leave()
    user.value = who.user
    token.value = who.token
    const replica = await openTab({
      user: who.user,
      token: who.token,
      subscriptions: ALWAYS.map((entityCode) => ({ entityCode })),
      renew: async () => {
        const fresh = await demoToken(who.user)
        keep({ user: who.user, token: fresh })
        return fresh
      },
    })
    if (user.value !== who.user) return replica.close()
    current.value = { replica, views: createViews(replica) }
  }

  const keep = (who: Kept): void => {
    if (user.value === who.user) token.value = who.token
    localStorage.setItem(KEY, JSON.stringify(who))
  }

  const leave = async (): Promise<void> => {
    const was = current.value
    current.value = null
    was?.views.close()
    await was?.replica.close()
  }

  /** Goes on as whoever was signed in when the page was last here. Resolves once their data can be read; false: nobody was. */
  const restore = async (): Promise<boolean> => {
    const who = kept()
    if (who === null) return false
    await open(who)
    return true
  }

  /** Rejects with SignInError. The same person again keeps what waits on the device; another one finds their own. */
  const signIn = async (who: string): Promise<void> => {
    const fresh = await demoToken(who)
    keep({ user: who, token: fresh })
    if (current.value?.replica.user === who) return current.value.replica.setToken(fresh)
    await open({ user: who, token: fresh })
  }

  /** Takes this person's data, unsent edits and drafts off the device. */
  const signOut = async (): Promise<void> => {
    const was = current.value
    localStorage.removeItem(KEY)
    user.value = null
    token.value = null
    current.value = null
    was?.views.close()
    await was?.replica.forget()
  }

  return { user, token, restore, signIn, signOut }
})
