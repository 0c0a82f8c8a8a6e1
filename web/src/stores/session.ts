/**
 * Who is signed in, in this tab. Signing in opens that person's own database; two people on one browser never mix. The token is kept so
 * that a reload, offline too, goes on where it was: the tab's own person first, and in a new tab whoever signed in last.
 */
import { defineStore } from "pinia"
import { ref } from "vue"
import type { Current } from "../data/replica.ts"
import { current } from "../data/replica.ts"
import { createViews } from "../data/view.ts"
import { ALWAYS } from "../data/entities.ts"
import { summarise } from "../data/news.ts"
import { openTab } from "../sync/tab.ts"
import { useNews } from "./news.ts"

const KEY = "tideline.session"

interface Kept {
  readonly user: string
  readonly token: string
}

const DISMISSED = "You were signed out. What was yours on this device is removed, unsent changes and drafts too."

const kept = (): Kept | null => {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? "null") as Partial<Kept> | null
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
  const news = useNews()
  const user = ref<string | null>(null)
  const token = ref<string | null>(null)
  /** Why nobody is signed in, for people; null where they left by themselves, or never came. */
  const farewell = ref<string | null>(null)

  /** One opening or closing after the other: a database is opened once. */
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work)
    last = done.catch(() => {})
    return done
  }

  const open = async (who: Kept): Promise<void> => {
    const was = current.value
    show(who, null)
    await was?.replica.close()
    const replica = await openTab({
      user: who.user,
      token: who.token,
      subscriptions: ALWAYS.map((entityCode) => ({ entityCode })),
      onForgotten: (dismissed) => {
        if (user.value !== who.user) return
        unkeep()
        show(null, null)
        if (dismissed) farewell.value = DISMISSED
      },
      summarise,
      onNotice: (notice) => {
        if (user.value === who.user) news.notice = notice
      },
      renew: async () => {
        const fresh = await demoToken(who.user)
        if (user.value === who.user) keep({ user: who.user, token: fresh })
        return fresh
      },
    })
    show(who, { replica, views: createViews(replica) })
  }

  const show = (who: Kept | null, now: Current | null): void => {
    current.value?.views.close()
    current.value = now
    user.value = who?.user ?? null
    token.value = who?.token ?? null
  }

  const keep = (who: Kept): void => {
    if (user.value === who.user) token.value = who.token
    for (const storage of [sessionStorage, localStorage]) storage.setItem(KEY, JSON.stringify(who))
  }

  /** Another tab may keep another person. */
  const unkeep = (): void => {
    for (const storage of [sessionStorage, localStorage]) {
      if ((JSON.parse(storage.getItem(KEY) ?? "null") as Partial<Kept> | null)?.user === user.value) storage.removeItem(KEY)
    }
  }

  /** Goes on as whoever was signed in when the page was last here. Resolves once their data can be read; false: nobody was. */
  const restore = async (): Promise<boolean> => {
    const who = kept()
    if (who === null) return false
    await inTurn(() => open(who))
    return true
  }

  /** Rejects with SignInError. The same person again keeps what waits on the device; another one finds their own. */
  const signIn = async (who: string): Promise<void> => {
    const fresh = await demoToken(who)
    farewell.value = null
    keep({ user: who, token: fresh })
    await inTurn(async () => {
      if (current.value?.replica.user === who) current.value.replica.setToken(fresh)
      else await open({ user: who, token: fresh })
    })
  }

  /** Takes this person's data, unsent edits and drafts off the device. */
  const signOut = (): Promise<void> =>
    inTurn(async () => {
      const was = current.value
      unkeep()
      show(null, null)
      await was?.replica.forget()
    })

  return { user, token, farewell, restore, signIn, signOut }
})
