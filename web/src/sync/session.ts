/**
 * One connection's life as a table: state x input -> state and effects. Pure; client.ts feeds it and does what it says. It faces
 * services/edge/session.ts.
 *
 * Where it comes from: frames of protocol/down.ts. Where it goes: `apply` effects, which apply.ts makes durable. What this hop promises: a frame
 * that moves the position is handed on only where the client stands at its `from`, so what is durable is always what the server
 * said up to some one position, with nothing left out.
 *
 *     stopped      not leading, or closed
 *     signed-out   needs a token; data and edits stay, unless the user was dismissed
 *     refused      another try would end the same way (a reload may help)
 *     waiting      between two tries
 *     connecting   a socket is being opened
 *     joining      AUTH is sent
 *     catching-up  SUBSCRIBE is sent; what comes brings the replica up to date
 *     live         LIVE has come; as long as frames come, what is shown is what the server has
 *
 * When a neighbour dies: the edge or the network - a close code, or silence: back to waiting, the cursor says the rest. This tab -
 * the next leader reads the durable cursor. The device's storage - `failed`: what was accepted but not saved is asked for again.
 */
import { nextAfter } from "#protocol/close.ts"
import type { Down } from "#protocol/down.ts"
import type { ViewPattern } from "#protocol/grant.ts"
import { covers } from "#protocol/grant.ts"
import { SILENCE_MS } from "#protocol/limits.ts"
import type { MutationResult } from "#protocol/mutation.ts"
import type { Up } from "#protocol/up.ts"
import type { Wanted } from "./replica.ts"
import type { Held } from "./store.ts"
import { NOTHING_HELD } from "./store.ts"

export const PHASES = ["stopped", "signed-out", "refused", "waiting", "connecting", "joining", "catching-up", "live"] as const
export type Phase = (typeof PHASES)[number]

export interface Session {
  readonly phase: Phase
  readonly token: string | null
  /** One entry an entity type. */
  readonly asked: ReadonlyArray<Wanted>
  /** Where the accepted frames lead: ahead of what is durable by what apply.ts still writes. */
  readonly held: Held
  /** Failures in a row since the last LIVE. */
  readonly failed: number
  /** Frames in a row that did not fit the position. */
  readonly misfits: number
  /** SUBSCRIBE and UNSUBSCRIBE frames that SUBSCRIBED has not answered: a LIVE before does not speak of them. */
  readonly unanswered: number
  readonly progress: { readonly done: number; readonly of: number }
  /** Of the last HEARTBEAT. */
  readonly lagMs: number
  /** The last frame said that the user was signed out: what ends now ends for good. */
  readonly isDismissed: boolean
  /** Why the phase is `refused`, or the last try failed: for people. */
  readonly reason: string | null
}

export type Frame<T extends Down["type"]> = Extract<Down, { readonly type: T }>
/** Frames that change what is held. */
export type Applied = Frame<"CHANGES" | "LIVE" | "HEARTBEAT" | "ACCESS_REVOKED" | "RESET">

export type Input =
  | { readonly type: "start"; readonly held: Held }
  | { readonly type: "stop" }
  | { readonly type: "token"; readonly token: string }
  | { readonly type: "asked"; readonly asked: ReadonlyArray<Wanted> }
  | { readonly type: "opened" }
  | { readonly type: "frame"; readonly frame: Down }
  | { readonly type: "closed"; readonly code: number; readonly reason: string }
  /** Nothing was heard for as long as `watch` said. */
  | { readonly type: "silent" }
  /** The wait is over. */
  | { readonly type: "due" }
  /** The network came back, or a person asked. */
  | { readonly type: "hurry" }
  /** The link may be dead: the network went, the machine slept. */
  | { readonly type: "doubt" }
  /** Accepted frames could not be saved; `held` is what is durable. */
  | { readonly type: "failed"; readonly held: Held; readonly reason: string }

export type Effect =
  | { readonly do: "connect" }
  | { readonly do: "send"; readonly frame: Up }
  /** Ends the socket; no `closed` follows. */
  | { readonly do: "close" }
  /**
   * `held`: where one stands afterwards. `whole`: a transaction may be kept until its last frame. `letGo`: nobody took it away, it is not asked for any
   * more. `settles`: all that was asked for is there now, and what is not there is not to be seen.
   */
  | { readonly do: "apply"; readonly frame: Applied; readonly held: Held; readonly whole: boolean; readonly letGo: boolean; readonly settles: boolean }
  /** Drops every document: no cursor describes them. */
  | { readonly do: "forget" }
  /** A `due` after a delay: backoff.ts, or exactly `ms`. */
  | { readonly do: "wait"; readonly next: "now" | "later"; readonly failed: number; readonly ms?: number }
  /** A `silent` when nothing is heard for `ms` from now on. */
  | { readonly do: "watch"; readonly ms: number }
  /** A new token is wanted. */
  | { readonly do: "renew" }
  /** The user was signed out, by themselves elsewhere or by somebody who may: the device forgets what is theirs. */
  | { readonly do: "dismiss" }
  | { readonly do: "results"; readonly results: ReadonlyArray<MutationResult> }
  /** Edits sent are not answered now: send them again after `ms`. */
  | { readonly do: "postpone"; readonly ms: number }
  | { readonly do: "pong" }

export type Step = readonly [Session, ReadonlyArray<Effect>]
type Cell<I extends Input["type"]> = (session: Session, input: Extract<Input, { readonly type: I }>) => Step
export type Table = { readonly [P in Phase]: { readonly [I in Input["type"]]: Cell<I> } }

/** Milliseconds without a frame after a PING that was sent in doubt. */
export const DOUBT_MS = 5_000
/** Milliseconds a connection may take to open and to answer AUTH. */
export const JOIN_MS = 15_000
/** Misfits in a row after which the cursor itself is doubted: everything is asked for anew. */
const MISFITS = 3

export const newSession = (token: string | null, asked: ReadonlyArray<Wanted>): Session => ({
  phase: "stopped",
  token,
  asked,
  held: NOTHING_HELD,
  failed: 0,
  misfits: 0,
  unanswered: 0,
  progress: { done: 0, of: 0 },
  lagMs: 0,
  isDismissed: false,
  reason: null,
})

// --- what cells do ----------------------------------------------------------------------------------------------------

const stay = (session: Session): Step => [session, []]

const connect = (session: Session): Step =>
  session.token === null
    ? [{ ...session, phase: "signed-out" }, [{ do: "renew" }]]
    : [{ ...session, phase: "connecting", isDismissed: false }, [{ do: "connect" }, { do: "watch", ms: JOIN_MS }]]

const start: Cell<"start"> = (session, { held }) => connect({ ...session, held, failed: 0, misfits: 0 })
const stop = (session: Session): Step => [{ ...session, phase: "stopped" }, [{ do: "close" }]]

const wait = (session: Session, next: "now" | "later", ms?: number): Step => [
  { ...session, phase: "waiting", failed: session.failed + 1, progress: { done: 0, of: 0 } },
  [{ do: "close" }, { do: "wait", next, failed: session.failed, ...(ms === undefined ? {} : { ms }) }],
]

const closed: Cell<"closed"> = (session, { code, reason }) => {
  const next = nextAfter(code)
  if (next === "stop") return [{ ...session, phase: "refused", reason: reason || `the server ended the connection (${code})` }, []]
  // No token is asked for in silence: that would undo it.
  if (next === "sign-in" && session.isDismissed) return [{ ...session, phase: "signed-out", token: null, held: NOTHING_HELD }, [{ do: "dismiss" }]]
  if (next === "sign-in") {
    // A server that refuses every token it gives out is not asked for a third.
    return [{ ...session, phase: "signed-out", token: null, failed: session.failed + 1 }, session.failed < 2 ? [{ do: "renew" }] : []]
  }
  return wait(session, next)
}
const silent = (session: Session): Step => wait({ ...session, reason: "the server was not heard" }, "now")

const keepToken: Cell<"token"> = (session, { token }) => stay({ ...session, token })
const connectWith: Cell<"token"> = (session, { token }) => connect({ ...session, token, reason: null })
const refreshToken: Cell<"token"> = (session, { token }) => [{ ...session, token }, [{ do: "send", frame: { type: "TOKEN_REFRESH", payload: { token } } }]]

const keepAsked: Cell<"asked"> = (session, { asked }) => stay({ ...session, asked })

const notSaved: Cell<"failed"> = (session, { held, reason }) => wait({ ...session, held, reason }, "later")
const notSavedIdle: Cell<"failed"> = (session, { held, reason }) => stay({ ...session, held, reason })

const doubt = (session: Session): Step => [session, [{ do: "send", frame: { type: "PING" } }, { do: "watch", ms: DOUBT_MS }]]

const authenticate = (session: Session): Step => [
  { ...session, phase: "joining" },
  [{ do: "send", frame: { type: "AUTH", payload: { token: session.token! } } }],
]

/** More of a type, or another type, is asked for on the same connection. Less of a type takes a new one: UNSUBSCRIBE cannot say "these scopes". */
const askAgain: Cell<"asked"> = (session, { asked }) => {
  const before = new Map(session.asked.map((one) => [one.entityCode, one]))
  const after = new Map(asked.map((one) => [one.entityCode, one]))
  const more = asked.filter((one) => !same(before.get(one.entityCode), one))
  if (more.some((one) => before.has(one.entityCode) && !widens(before.get(one.entityCode)!, one))) {
    const [next, effects] = connect({ ...session, asked })
    return [next, [{ do: "close" }, ...effects]]
  }
  const gone = session.asked.filter((one) => !after.has(one.entityCode))
  const effects: Array<Effect> = gone.map(({ entityCode }) => ({ do: "send", frame: { type: "UNSUBSCRIBE", payload: { entityCode } } }))
  if (more.length > 0) effects.push({ do: "send", frame: { type: "SUBSCRIBE", payload: { subscriptions: more } } })
  const next: Session = { ...session, asked, unanswered: session.unanswered + effects.length }
  return [more.length > 0 ? { ...next, phase: "catching-up", progress: { done: 0, of: 0 } } : next, effects]
}

const same = (a: Wanted | undefined, b: Wanted): boolean => JSON.stringify(a) === JSON.stringify(b)
const widens = (from: Wanted, to: Wanted): boolean => patternsOf(from).every((narrow) => patternsOf(to).some((wide) => covers(wide, narrow)))

/** The patterns a subscription asks for. */
export const patternsOf = ({ entityCode, scopes, entityIds }: Wanted): ReadonlyArray<ViewPattern> =>
  (scopes ?? [null]).flatMap((scope) => (entityIds ?? [null]).map((id) => ({ entity: entityCode, scope, id })))

// --- frames -----------------------------------------------------------------------------------------------------------

const join = (session: Session): Step => {
  const { asked, held } = session
  const effects: Array<Effect> = [{ do: "watch", ms: SILENCE_MS }]
  // Without a cursor nothing says what is held: then nothing may be.
  if (held.cursor === null) effects.push({ do: "forget" })
  effects.push({ do: "send", frame: { type: "SUBSCRIBE", payload: { subscriptions: asked, ...(held.cursor === null ? {} : { cursor: held.cursor }) } } })
  return [{ ...session, phase: "catching-up", held: held.cursor === null ? NOTHING_HELD : held, unanswered: 1, progress: { done: 0, of: 0 } }, effects]
}

/** An ERROR that says `signed_out`, and the close with `unauthorised` after it, are an end. Alone it speaks of a token that was to take this one's place. */
const dismissed = (cell: Cell<"frame">): Cell<"frame"> => (session, input) =>
  cell({ ...session, isDismissed: input.frame.type === "ERROR" && input.frame.payload.code === "signed_out" }, input)

const joining: Cell<"frame"> = (session, { frame }) => {
  if (frame.type === "AUTH_SUCCESS") return join(session)
  if (frame.type === "ERROR" && frame.payload.retryAfter !== undefined) return wait(session, "later", frame.payload.retryAfter * 1_000)
  return stay(session)
}

const misfit = (session: Session): Step => {
  const misfits = session.misfits + 1
  const doubted = misfits >= MISFITS
  return wait(
    { ...session, misfits: doubted ? 0 : misfits, held: doubted ? NOTHING_HELD : session.held, reason: "frames did not fit together" },
    "now",
  )
}

const receive: Cell<"frame"> = (session, { frame }) => {
  const heard: Effect = { do: "watch", ms: SILENCE_MS }
  const whole = session.phase === "live"
  switch (frame.type) {
    case "CHANGES": {
      const { payload } = frame
      if (payload.from !== session.held.position) return misfit(session)
      const held = { position: payload.to, cursor: payload.cursor }
      return [
        { ...session, held, misfits: 0, progress: payload.progress ?? session.progress },
        [heard, { do: "apply", frame, held, whole, letGo: false, settles: false }],
      ]
    }
    case "LIVE": {
      if (frame.payload.from !== session.held.position) return misfit(session)
      const held = { position: frame.payload.to, cursor: frame.payload.cursor }
      const apply: Effect = { do: "apply", frame, held, whole, letGo: false, settles: session.unanswered === 0 }
      if (session.unanswered > 0) return [{ ...session, held, misfits: 0 }, [heard, apply]]
      return [
        { ...session, phase: "live", held, misfits: 0, failed: 0, lagMs: 0, reason: null },
        [heard, apply, { do: "send", frame: { type: "PING" } }],
      ]
    }
    case "HEARTBEAT": {
      if (frame.payload.from !== session.held.position) return misfit(session)
      const held = { position: frame.payload.to, cursor: frame.payload.cursor }
      return [{ ...session, held, misfits: 0, lagMs: frame.payload.lagMs }, [heard, { do: "apply", frame, held, whole, letGo: false, settles: false }, { do: "send", frame: { type: "PING" } }]]
    }
    case "ACCESS_REVOKED":
      // The cursor stays: the edge has said on the frame before that these documents are not to be counted on.
      return [session, [heard, { do: "apply", frame, held: session.held, whole, letGo: !isAsked(session.asked, frame.payload), settles: false }]]
    case "RESET":
      return [
        { ...session, phase: "catching-up", held: NOTHING_HELD, progress: { done: 0, of: 0 } },
        [heard, { do: "apply", frame, held: NOTHING_HELD, whole: false, letGo: false, settles: false }],
      ]
    case "MUTATED":
      return [session, [heard, { do: "results", results: frame.payload.results }]]
    case "TOKEN_EXPIRING_SOON":
      return [session, [heard, { do: "renew" }]]
    case "PONG":
      return [session, [heard, { do: "pong" }]]
    case "ERROR": {
      const { code, message, hint, retryAfter } = frame.payload
      // What was asked for cannot be, and would not be the next time either: nobody said when to ask again.
      if (session.phase === "catching-up" && retryAfter === undefined && (code === "not_found" || code === "too_large")) {
        return [{ ...session, phase: "refused", reason: `${message}: ${hint}` }, [{ do: "close" }]]
      }
      if (retryAfter === undefined) return [session, [heard]]
      // Before LIVE it may be the subscription that failed, and nobody but us will ask again.
      return session.phase === "live"
        ? [session, [heard, { do: "postpone", ms: retryAfter * 1_000 }]]
        : wait(session, "later", retryAfter * 1_000)
    }
    case "SUBSCRIBED":
      return [{ ...session, unanswered: Math.max(0, session.unanswered - 1) }, [heard]]
    case "AUTH_SUCCESS":
    case "INVALIDATE":
    case "PRESENCE":
      return [session, [heard]]
    default:
      // A newer edge may say more than this client knows.
      return [session, [heard]]
  }
}

/** Whether what was revoked is still asked for. If not, we let go of it ourselves, and nobody took it away. */
const isAsked = (asked: ReadonlyArray<Wanted>, lost: { readonly entityCode: string; readonly scope?: string; readonly entityId?: string }): boolean =>
  asked.flatMap(patternsOf).some(
    (p) =>
      p.entity === lost.entityCode &&
      (p.scope === null || lost.scope === undefined || p.scope === lost.scope) &&
      (p.id === null || lost.entityId === undefined || p.id === lost.entityId),
  )

// --- the table --------------------------------------------------------------------------------------------------------

const nothing = {
  start, stop: stay, token: keepToken, asked: keepAsked, opened: stay, frame: stay, closed: stay, silent: stay, due: stay, hurry: stay, doubt: stay, failed: notSavedIdle,
} as const
const connected = { start: stay, stop, opened: stay, closed, silent, due: stay, hurry: doubt, doubt, failed: notSaved } as const

export const TABLE: Table = {
  "stopped": nothing,
  "signed-out": { ...nothing, start: stay, stop, token: connectWith, hurry: (session) => [session, [{ do: "renew" }]] },
  "refused": { ...nothing, start: stay, stop, hurry: connect },
  "waiting": { ...nothing, start: stay, stop, due: connect, hurry: connect },
  "connecting": { ...connected, token: keepToken, asked: keepAsked, frame: stay, opened: authenticate, hurry: stay, doubt: stay },
  "joining": { ...connected, token: keepToken, asked: keepAsked, frame: dismissed(joining), hurry: stay, doubt: stay },
  "catching-up": { ...connected, token: refreshToken, asked: askAgain, frame: dismissed(receive) },
  "live": { ...connected, token: refreshToken, asked: askAgain, frame: dismissed(receive) },
}

export const step = (session: Session, input: Input): Step => (TABLE[session.phase][input.type] as Cell<Input["type"]>)(session, input)
