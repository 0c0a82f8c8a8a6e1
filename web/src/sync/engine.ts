/**
 * Does what the session table (session.ts) says, against a socket, timers and the store. One of a person's tabs runs one; a headless
 * replica always does.
 */
import type { BehaviorSubject } from "rxjs"
import type { Down } from "#protocol/down.ts"
import { covers } from "#protocol/grant.ts"
import { createApplier } from "./apply.ts"
import { delayMs } from "./backoff.ts"
import type { News } from "./losses.ts"
import { createPusher } from "./push.ts"
import type { Wanted } from "./replica.ts"
import type { Effect, Input, Session } from "./session.ts"
import { newSession, patternsOf, step } from "./session.ts"
import type { OpenSocket, Socket } from "./socket.ts"
import type { Status } from "./status.ts"
import type { Held, Store } from "./store.ts"
import { NOTHING_HELD } from "./store.ts"

export interface EngineOptions {
  readonly store: Store
  /** `ws://…/ws` */
  readonly url: string
  readonly token: string | null
  readonly asked: ReadonlyArray<Wanted>
  readonly status$: BehaviorSubject<Status>
  /** A new token, where one can be had without a person. */
  readonly renew: (() => Promise<string>) | null
  readonly openSocket: OpenSocket
  /** What was lost, gained or removed, once it is certain. */
  readonly onNews: (news: News) => void
  /** The user was signed out: what the device holds is to be forgotten. Nothing is tried any more until there is another token. */
  readonly onDismissed: () => void
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** In [0, 1). */
  readonly random: () => number
}

export interface Engine {
  readonly start: () => Promise<void>
  readonly feed: (input: Extract<Input, { readonly type: "token" | "asked" | "hurry" | "doubt" }>) => void
  readonly position: () => number
  /** Resolves once what was under way is durable. */
  readonly stop: () => Promise<void>
}

/** Milliseconds without a link before "connecting" is called "offline": a deploy of the edge is shorter. */
const GRACE_MS = 2_000

export const createEngine = (options: EngineOptions): Engine => {
  const { store, url, status$, renew, openSocket, now, random } = options
  let session: Session = newSession(options.token, options.asked)
  let durable: Held = NOTHING_HELD
  let socket: Socket | null = null
  let dueTimer: ReturnType<typeof setTimeout> | undefined
  let watchTimer: ReturnType<typeof setTimeout> | undefined
  let graceTimer: ReturnType<typeof setTimeout> | undefined
  let silenceMs = 0
  let watchedFrom = 0
  /** When a frame last came, or this engine began. */
  let contactAt = 0
  /** When the link was last seen to be gone. */
  let lostAt = 0
  let pingedAt: number | null = null
  let latencyMs: number | null = null
  /** Whether LIVE has come on this connection and what it completes is durable. */
  let live = false
  /** ACCESS_REVOKED came, and the LIVE after it is not durable yet. */
  let settling = false

  const applier = createApplier({
    store,
    now,
    isAsked: (entity, id, scope) => session.asked.flatMap(patternsOf).some((pattern) => covers(pattern, { entity, id, scope })),
    onNews: options.onNews,
    onApplied: (held, reachedLive) => {
      durable = held
      if (reachedLive && session.phase === "live") {
        live = true
        settling = false
        // Not before: an edit of what was lost or deleted meanwhile is forgotten, not sent.
        pusher.open(true)
        // What another tab wrote while this was being settled.
        applier.look()
      }
      tell()
    },
    onFailed: (reason) => feed({ type: "failed", held: durable, reason }),
  })
  const pusher = createPusher({ store, now, send: (mutations) => send({ type: "MUTATE", payload: { mutations } }) })

  const send = (frame: Extract<Effect, { readonly do: "send" }>["frame"]): void => {
    if (frame.type === "PING") pingedAt = now()
    socket?.send(JSON.stringify(frame))
  }

  const feed = (input: Input): void => {
    const [next, effects] = step(session, input)
    if (isJoined(session) && !isJoined(next)) lostAt = now()
    session = next
    if (session.phase !== "live") live = false
    if (input.type === "frame" && input.frame.type === "ACCESS_REVOKED") settling = true
    for (const effect of effects) run(effect)
    tell()
  }

  const run = (effect: Effect): void => {
    switch (effect.do) {
      case "connect":
        clearTimeout(dueTimer)
        pingedAt = null
        latencyMs = null
        socket = openSocket(url, {
          onOpen: () => feed({ type: "opened" }),
          onText: receive,
          onClose: (code, reason) => {
            socket = null
            pusher.open(false)
            unwatch()
            feed({ type: "closed", code, reason })
          },
        })
        return
      case "send":
        return send(effect.frame)
      case "close":
        clearTimeout(dueTimer)
        unwatch()
        pusher.open(false)
        socket?.close()
        socket = null
        return
      case "apply":
        return applier.push(effect)
      case "forget":
        return applier.forget()
      case "wait":
        clearTimeout(dueTimer)
        dueTimer = setTimeout(() => feed({ type: "due" }), effect.ms ?? delayMs(effect.next, effect.failed, random()))
        return
      case "watch":
        return watch(effect.ms)
      case "renew":
        renew?.().then(
          (token) => feed({ type: "token", token }),
          // Nobody to ask: the token that is left runs out, and the status says so.
          () => {},
        )
        return
      case "dismiss":
        return options.onDismissed()
      case "results":
        return pusher.answer(effect.results)
      case "postpone":
        return pusher.postpone(effect.ms)
      case "pong":
        if (pingedAt !== null) latencyMs = Math.max(1, Math.round(now() - pingedAt))
        pingedAt = null
        return
    }
  }

  const receive = (text: string): void => {
    let frame: Down
    try {
      frame = JSON.parse(text) as Down
    } catch {
      // Not our edge: a proxy that answers in its own words.
      return run({ do: "close" }), feed({ type: "closed", code: 1002, reason: "what came is not JSON" })
    }
    contactAt = now()
    feed({ type: "frame", frame })
  }

  /** One timer that looks when it was last set, rather than one set anew with each frame. A machine that slept notices at once. */
  const watch = (ms: number): void => {
    watchedFrom = now()
    if (ms === silenceMs && watchTimer !== undefined) return
    unwatch()
    silenceMs = ms
    const look = (): void => {
      const left = watchedFrom + silenceMs - now()
      watchTimer = left > 0 ? setTimeout(look, left) : undefined
      if (left <= 0) feed({ type: "silent" })
    }
    watchTimer = setTimeout(look, ms)
  }
  const unwatch = (): void => {
    clearTimeout(watchTimer)
    watchTimer = undefined
  }

  const tell = (): void => {
    const next = statusNow()
    if (JSON.stringify(next) !== JSON.stringify(status$.value)) status$.next(next)
  }

  const statusNow = (): Status => {
    switch (session.phase) {
      case "live":
        return live ? { kind: "live", latencyMs, lagMs: session.lagMs, ...(settling ? { settling } : {}) } : { kind: "catching-up", ...session.progress }
      case "catching-up":
        return { kind: "catching-up", ...session.progress }
      case "signed-out":
        return { kind: "signed-out" }
      case "refused":
        return offline(session.reason)
      case "stopped":
      case "waiting":
      case "connecting":
      case "joining": {
        const left = lostAt + GRACE_MS - now()
        clearTimeout(graceTimer)
        if (left <= 0) return offline(null)
        if (session.phase !== "stopped") graceTimer = setTimeout(tell, left)
        return { kind: "connecting" }
      }
    }
  }
  const offline = (reason: string | null): Status => ({ kind: "offline", since: contactAt, waiting: waiting(store), reason })

  const stopListening = store.listen((change) => {
    if (live && !settling && change.edits.length + change.drafts.length > 0) applier.look()
    if (change.edits.length === 0) return
    pusher.pump()
    if (status$.value.kind === "offline") tell()
  })

  return {
    start: async () => {
      durable = await store.readHeld()
      contactAt = now()
      lostAt = contactAt
      feed({ type: "start", held: durable })
    },
    feed,
    position: () => durable.position,
    stop: async () => {
      feed({ type: "stop" })
      stopListening()
      clearTimeout(graceTimer)
      await applier.idle()
    },
  }
}

const isJoined = ({ phase }: Session): boolean => phase === "live" || phase === "catching-up"

/** Edits that the server has not answered. */
const waiting = (store: Store): number => {
  let count = 0
  for (const edit of store.edits.values()) if (edit.state !== "applied") count++
  return count
}
