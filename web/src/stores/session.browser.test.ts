/** Signing in and out in a real page: whose data is read, and what is left. */
import { createPinia, setActivePinia } from "pinia"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { current } from "../data/replica.ts"
import { SignInError, useSession } from "./session.ts"
import { useSync } from "./sync.ts"

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  vi.stubGlobal("fetch", async (_url: string, { body }: { readonly body: string }) => {
    const { user } = JSON.parse(body) as { readonly user: string }
    return user === "nobody" ? new Response("{}", { status: 404 }) : Response.json({ token: `token of ${user}` })
  })
  setActivePinia(createPinia())
})
afterEach(async () => {
  await useSession().signOut()
  vi.unstubAllGlobals()
})

const draft = (value: string) =>
  current.value!.replica.store.writeDrafts([{ key: "task|t|title", entity: "task", entityId: "t", scope: null, field: "title", value, at: 0 }], [])
const drafts = (): ReadonlyArray<string> => [...current.value!.replica.store.drafts.values()].map((one) => one.value)
/** What a reload does: everything in memory is new. */
const reload = async (): Promise<boolean> => {
  await current.value?.replica.close()
  current.value = null
  setActivePinia(createPinia())
  return useSession().restore()
}

test("each person finds their own, and nobody another's", async () => {
  await useSession().signIn("ada")
  await draft("ada's")
  await useSession().signIn("grace")
  expect([useSession().user, useSession().token, drafts()]).toEqual(["grace", "token of grace", []])
  await draft("grace's")
  await useSession().signIn("ada")
  expect(drafts()).toEqual(["ada's"])
  await useSession().signOut()
  await useSession().signIn("grace")
  expect(drafts()).toEqual(["grace's"])
})

test("a reload goes on where it was; after a sign-out there is nothing to go on with", async () => {
  expect(await reload()).toBe(false)
  await useSession().signIn("ada")
  await draft("kept")
  expect(await reload()).toBe(true)
  expect([useSession().user, drafts()]).toEqual(["ada", ["kept"]])
  await useSession().signOut()
  expect(current.value).toBeNull()
  expect(await reload()).toBe(false)
  await useSession().signIn("ada")
  expect(drafts()).toEqual([])
})

test("several sign-ins at once end with the last", async () => {
  await Promise.all(["ada", "grace", "ada", "linus"].map((who) => useSession().signIn(who)))
  expect([useSession().user, current.value?.replica.user]).toEqual(["linus", "linus"])
})

test("a person who is not known is told so", async () => {
  await expect(useSession().signIn("nobody")).rejects.toBeInstanceOf(SignInError)
  expect(useSession().user).toBeNull()
})

test("without a server the pill says so, and edits wait in its list", async () => {
  await useSession().signIn("ada")
  const sync = useSync()
  expect(sync.firstVisit).toBe(true)
  const id = current.value!.replica.edit({ entity: "task", entityId: "t", scope: "p1", op: "create", data: { title: "new" } })
  expect(sync.waitingEdits.map((edit) => edit.id)).toEqual([id])
  await expect.poll(() => sync.status.kind, { timeout: 10_000 }).toBe("offline")
  expect(sync.status).toMatchObject({ waiting: 1 })
  sync.discard(id)
  expect(sync.waitingEdits).toEqual([])
})

/** A server that refuses every token as one of somebody who was signed out. */
class Dismissing {
  static readonly OPEN = 1
  onopen: (() => void) | null = null
  onmessage: ((event: { readonly data: string }) => void) | null = null
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null
  onerror: (() => void) | null = null
  readonly readyState = 1
  constructor() {
    setTimeout(() => this.onopen?.())
  }
  send(): void {
    setTimeout(() => {
      this.onmessage?.({ data: JSON.stringify({ type: "ERROR", payload: { code: "signed_out", message: "this session was signed out", hint: "" } }) })
      this.onclose?.({ code: 4001, reason: "unauthorised" })
    })
  }
  close(): void {}
}

test("whoever was signed out while away finds the door, why, and nothing of theirs", async () => {
  await useSession().signIn("ada")
  await draft("forgotten")
  await current.value!.replica.close()
  vi.stubGlobal("WebSocket", Dismissing)
  expect(await reload()).toBe(true)
  await expect.poll(() => useSession().user).toBeNull()
  expect(useSession().farewell).toMatch(/^You were signed out/)
  expect([localStorage.length, sessionStorage.length, current.value]).toEqual([0, 0, null])
  expect(await reload()).toBe(false)
  vi.stubGlobal("WebSocket", class {})
  await useSession().signIn("ada")
  expect([useSession().farewell, drafts()]).toEqual([null, []])
})
