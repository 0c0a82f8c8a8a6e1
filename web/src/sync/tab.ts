/**
 * A person's replica in one browser tab. All tabs of that person share one database and one socket; this file is what they say to each other.
 *
 * Documents, edits and drafts travel between tabs by RxDB's own change stream. The rest goes over a BroadcastChannel: the leader
 * says its status, every few seconds even if nothing changed; the others say what they want subscribed. A tab in front that
 * does not hear the leader takes its place: browsers freeze tabs that nobody looks at.
 */
import { BehaviorSubject } from "rxjs"
import { getRxStorageDexie } from "rxdb/plugins/storage-dexie"
import { documentsOf, raise, settled } from "./client.ts"
import { createEdits } from "./edits.ts"
import type { Engine } from "./engine.ts"
import { createEngine } from "./engine.ts"
import { runForLeader } from "./leader.ts"
import type { News } from "./losses.ts"
import type { Replica, Wanted } from "./replica.ts"
import { openWebSocket } from "./socket.ts"
import type { OpenSocket } from "./socket.ts"
import type { Status } from "./status.ts"
import type { Store } from "./store.ts"
import { createMemoryStore } from "./store-memory.ts"
import { databaseName, openRxStore } from "./store-rxdb.ts"
import { createWants } from "./wants.ts"

export interface TabOptions<Notice = never> {
  readonly user: string
  readonly token: string
  /** Held by every tab for as long as it lives. */
  readonly subscriptions: ReadonlyArray<Wanted>
  readonly renew?: () => Promise<string>
  /** This person was signed out, in another tab or (`dismissed`) by the server: this replica is closed by now. */
  readonly onForgotten?: (dismissed: boolean) => void
  /** What people may want to hear of what was lost or gained: little, and plain data, for it goes to every tab. Null: nothing. */
  readonly summarise?: (news: News) => Notice | null
  /** Told to every tab that is in front, or to whichever comes to the front first. */
  readonly onNotice?: (notice: Notice) => void
  /** The page's own server, if left out. */
  readonly url?: string
  readonly openSocket?: OpenSocket
}

type Message<Notice> =
  | { readonly type: "status"; readonly status: Status; readonly position: number }
  | { readonly type: "hello" }
  | { readonly type: "want"; readonly tab: string; readonly wanted: ReadonlyArray<Wanted> }
  | { readonly type: "bye"; readonly tab: string }
  | { readonly type: "token"; readonly token: string }
  | { readonly type: "hurry" }
  | { readonly type: "forgotten"; readonly dismissed: boolean }
  | { readonly type: "notice"; readonly id: string; readonly notice: Notice }
  /** Somebody has seen it. */
  | { readonly type: "noticed"; readonly id: string }

/** Milliseconds between two words from the leader. */
const BEAT_MS = 4_000
/** Milliseconds without one after which a tab in front takes over. */
const ABSENT_MS = 3 * BEAT_MS

const ownServer = (): string => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`

/** The person's database; where the browser allows none (private windows of some), memory, which this tab has for itself. */
const openStore = async (user: string): Promise<{ readonly store: Store; readonly shared: boolean }> => {
  try {
    return { store: await openRxStore({ name: user, storage: getRxStorageDexie(), shared: true }), shared: true }
  } catch {
    return { store: createMemoryStore(), shared: false }
  }
}

/** Opens, or joins, the person's replica. Resolves once its data can be read. */
export const openTab = async <Notice = never>(options: TabOptions<Notice>): Promise<Replica> => {
  const { user, subscriptions, url = ownServer(), openSocket = openWebSocket, renew } = options
  const { store, shared } = await openStore(user)
  const channel = new BroadcastChannel(`tideline:${user}`)
  const status$ = new BehaviorSubject<Status>({ kind: "connecting" })
  const tab = crypto.getRandomValues(new Uint32Array(2)).join("-")
  const away = new AbortController()
  const others = new Map<string, () => void>()
  let token = options.token
  let engine: Engine | null = null
  let position = 0
  let heardAt = Date.now()
  let hadLeader = false
  let closed = false

  const say = (message: Message<Notice>): void => {
    if (!closed) channel.postMessage(message)
  }
  const sayStatus = (): void => {
    if (engine !== null) say({ type: "status", status: status$.value, position: engine.position() })
  }

  // Own wants first; with those of the other tabs they are what the leader asks for.
  const own = createWants(subscriptions, (wanted) => {
    say({ type: "want", tab, wanted })
    setOwn()
  })
  const all = createWants([], (asked) => engine?.feed({ type: "asked", asked }))
  let takeOwn = all.add(own.asked())
  const setOwn = (): void => {
    const before = takeOwn
    takeOwn = all.add(own.asked())
    before()
  }
  const setOther = (from: string, wanted: ReadonlyArray<Wanted> | null): void => {
    const before = others.get(from)
    if (wanted === null) others.delete(from)
    else others.set(from, all.add(wanted))
    before?.()
  }

  /** In memory only: the words name what the device has just forgotten. */
  const unseen = new Map<string, Notice>()
  let notices = 0
  const notice = (id: string, what: Notice): void => {
    unseen.set(id, what)
    if (document.visibilityState === "visible") showUnseen()
  }
  const showUnseen = (): void => {
    for (const [id, what] of unseen) {
      options.onNotice?.(what)
      say({ type: "noticed", id })
    }
    unseen.clear()
  }
  const onNews = (news: News): void => {
    const what = options.summarise?.(news) ?? null
    if (what === null) return
    const id = `${tab}-${notices++}`
    say({ type: "notice", id, notice: what })
    notice(id, what)
  }

  const onDismissed = (): void => void forget(true).then(() => options.onForgotten?.(true))

  const lead = async (): Promise<void> => {
    // What another leader wrote last may still be on its way here.
    if (hadLeader) await store.refresh()
    if (closed || engine !== null) return
    engine = createEngine({ store, url, token, status$, openSocket, asked: all.asked(), renew: renew ?? null, onNews, onDismissed, now: Date.now, random: Math.random })
    say({ type: "hello" })
    await engine.start()
  }
  const unlead = async (): Promise<void> => {
    const was = engine
    engine = null
    hadLeader = true
    heardAt = Date.now()
    await was?.stop()
  }

  const setToken = (next: string): void => {
    token = next
    engine?.feed({ type: "token", token })
  }

  channel.onmessage = ({ data }: MessageEvent<Message<Notice>>) => {
    switch (data.type) {
      case "status":
        heardAt = Date.now()
        if (engine !== null) return
        hadLeader = true
        position = data.position
        status$.next(data.status)
        return
      case "hello":
        say({ type: "want", tab, wanted: own.asked() })
        return sayStatus()
      case "want":
        return setOther(data.tab, data.wanted)
      case "bye":
        return setOther(data.tab, null)
      case "token":
        return setToken(data.token)
      case "hurry":
        return engine?.feed({ type: "hurry" })
      case "notice":
        return notice(data.id, data.notice)
      case "noticed":
        return void unseen.delete(data.id)
      case "forgotten":
        return void close().then(() => options.onForgotten?.(data.dismissed))
    }
  }
  const following = status$.subscribe(sayStatus)
  const leadership = runForLeader({
    name: `tideline:${user}`,
    locks: shared ? (navigator.locks as LockManager | undefined) : undefined,
    onLead: () => void lead(),
    onLose: () => void unlead(),
  })
  say({ type: "hello" })
  const beat = setInterval(() => {
    sayStatus()
    if (engine === null && document.visibilityState === "visible" && Date.now() - heardAt > ABSENT_MS) leadership.take()
  }, BEAT_MS)

  const hurry = (): void => {
    if (engine === null) say({ type: "hurry" })
    else engine.feed({ type: "hurry" })
  }
  const { signal } = away
  addEventListener("online", hurry, { signal })
  addEventListener("offline", () => engine?.feed({ type: "doubt" }), { signal })
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && (hurry(), showUnseen()), { signal })
  addEventListener("pagehide", () => say({ type: "bye", tab }), { signal })
  addEventListener("pageshow", (event) => void (event.persisted && store.refresh().then(() => say({ type: "hello" }))), { signal })

  const end = async (): Promise<void> => {
    say({ type: "bye", tab })
    closed = true
    away.abort()
    clearInterval(beat)
    following.unsubscribe()
    channel.close()
    await unlead()
    leadership.close()
    status$.complete()
  }
  const close = async (): Promise<void> => {
    if (closed) return
    await end()
    await store.close()
  }

  const forget = async (dismissed: boolean): Promise<void> => {
    if (closed) return
    say({ type: "forgotten", dismissed })
    await end()
    await store.destroy()
    await erase(user)
  }

  return {
    user,
    store,
    status$,
    documents: () => documentsOf(store),
    position: () => engine?.position() ?? position,
    ...createEdits({ store, now: Date.now, onUnsaved: raise }),
    subscribe: own.add,
    setToken: (next) => {
      setToken(next)
      say({ type: "token", token: next })
    },
    hurry,
    settled: () => settled(store, status$),
    close,
    forget: () => forget(false),
  }
}

/** RxDB empties its databases; that they were there, under this person's name, is also nobody's business. A tab that is slow to close its own holds this up. */
const erase = async (user: string): Promise<void> => {
  const databases = await indexedDB.databases().catch(() => [])
  for (const { name } of databases) if (name?.startsWith(`rxdb-dexie-${databaseName(user)}--`)) indexedDB.deleteDatabase(name)
}
