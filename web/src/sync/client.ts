/**
 * A replica that is alone: in Node, a test, a bench. (A browser tab shares one with its siblings: tab.ts.)
 *
 *     const replica = await createReplica({
 *       user: "ada", token, url: "ws://127.0.0.1:4001/ws",
 *       subscriptions: [{ entityCode: "task" }],
 *       store: createMemoryStore(),              // or await openRxStore({ name: "ada", storage: getRxStorageMemory(), shared: false })
 *     })
 *     await replica.settled()
 *     replica.documents().get(documentKey("task", id))?.data
 */
import { BehaviorSubject } from "rxjs"
import { createEdits } from "./edits.ts"
import { createEngine } from "./engine.ts"
import type { Replica, Wanted } from "./replica.ts"
import type { News } from "./losses.ts"
import type { OpenSocket } from "./socket.ts"
import { openWebSocket } from "./socket.ts"
import type { Status } from "./status.ts"
import type { Store, StoredDoc } from "./store.ts"
import { createWants } from "./wants.ts"

export interface ReplicaOptions {
  readonly user: string
  /** Null: starts signed out. */
  readonly token: string | null
  /** `ws://…/ws` */
  readonly url: string
  /** Held for as long as the replica lives. */
  readonly subscriptions: ReadonlyArray<Wanted>
  readonly store: Store
  /** A new token, where one can be had without a person. */
  readonly renew?: () => Promise<string>
  readonly openSocket?: OpenSocket
  readonly onNews?: (news: News) => void
  /** The user was signed out: `forget` is what a device should do. */
  readonly onDismissed?: () => void
  readonly now?: () => number
  readonly random?: () => number
}

export const createReplica = async (options: ReplicaOptions): Promise<Replica> => {
  const { user, store, subscriptions, now = Date.now } = options
  const status$ = new BehaviorSubject<Status>({ kind: "connecting" })
  const wants = createWants(subscriptions, (asked) => engine.feed({ type: "asked", asked }))
  const engine = createEngine({
    store,
    status$,
    now,
    url: options.url,
    token: options.token,
    asked: wants.asked(),
    renew: options.renew ?? null,
    openSocket: options.openSocket ?? openWebSocket,
    random: options.random ?? Math.random,
    onNews: options.onNews ?? (() => {}),
    onDismissed: options.onDismissed ?? (() => {}),
  })
  await engine.start()
  return {
    user,
    store,
    status$,
    documents: () => documentsOf(store),
    position: engine.position,
    ...createEdits({ store, now, onUnsaved: raise }),
    subscribe: wants.add,
    setToken: (token) => engine.feed({ type: "token", token }),
    hurry: () => engine.feed({ type: "hurry" }),
    settled: () => settled(store, status$),
    close: async () => {
      await engine.stop()
      status$.complete()
      await store.close()
    },
    forget: async () => {
      await engine.stop()
      status$.complete()
      await store.destroy()
    },
  }
}

/** What cannot be kept must not pass unseen. */
export const raise = (error: unknown): never => {
  throw error
}

/** The documents there are; deletions that still wait for their position left out. */
export const documentsOf = (store: Store): ReadonlyMap<string, StoredDoc> =>
  [...store.docs.values()].some((doc) => doc.data === null) ? new Map([...store.docs].filter(([, doc]) => doc.data !== null)) : store.docs

/** Resolves when the status is live and no edit waits for its answer or its echo; those that a person must settle do not count. */
export const settled = (store: Store, status$: BehaviorSubject<Status>): Promise<void> =>
  new Promise((resolve) => {
    const isSettled = (): boolean =>
      status$.value.kind === "live" && [...store.edits.values()].every((edit) => edit.state !== "waiting" && edit.state !== "applied")
    if (isSettled()) return resolve()
    const look = (): void => {
      if (!isSettled()) return
      stop()
      following.unsubscribe()
      resolve()
    }
    const stop = store.listen(look)
    const following = status$.subscribe(() => queueMicrotask(look))
  })
