/**
 * A connection's session: a function from state and input to state and effects. connection.ts runs the effects; nothing here does
 * any I/O, reads a clock, or sees a row.
 *
 *     hello ──AUTH──► checking ──► idle ──SUBSCRIBE──► resolving ──► giving ──► catching-up ──► live
 *                                                         ▲  what is gained │        │ from the ring │
 *                                                         │  comes as of    │        │ or from STATE │
 *                                                         └── subscribed, unsubscribed, access touched or run out ──┘
 *                                                         ▲                                  │
 *                                                         └────── drained ──── slow ◄─ full ─┘
 *
 * Who is authoritative for what. Authz says what a user may see as of a sequence; the log says what is there; the client's cursor says what it
 * holds. The session holds no truth of its own: whatever dies, the client comes back with its cursor, to any edge.
 *
 * - hello: the socket is open. Only AUTH counts. checking: authz was asked about the token; frames wait.
 * - idle: signed in, nothing asked for yet.
 * - resolving: stopped at a position; authz was asked what the user may see as of a sequence at or after it. If authz is away the
 *   session waits here and asks again: nothing is ever decided open. Every change of what should be seen begins here.
 * - giving: what is gained is read from STATE as of the position, which stands still. An interruption loses the place only if what is
 *   to be given changes.
 * - catching-up: what is after the position, for the whole view. The position moves with every frame, so an interruption loses nothing.
 * - live: in the live index. The connection's position follows the edge's.
 * - slow: the socket is full. Nothing is kept for it but its position; once it has drained it resolves anew.
 * - closed: it has ended.
 *
 * The claim is what the cursor on the next frame says is held; it never says more than is true. Before anything is taken away
 * or given beside the flow, a HEARTBEAT carries a claim that names both as `partial`: whoever is cut off then is told or given it again.
 */
import { Result } from "effect"
import type { Close } from "#protocol/close.ts"
import { parseCursor } from "#protocol/cursor.ts"
import { RETRY_FIRST_MS, RETRY_MOST_MS } from "#protocol/limits.ts"
import type { Up } from "#protocol/up.ts"
import { resolved, settle } from "./resolved.ts"
import type { Claim, Effect, Here, Input, Phase, Session, Step, UpInput } from "./session-state.ts"
import { ask, decided, error, reset, send, stay, to } from "./session-state.ts"
import type { Subscriptions } from "./subscriptions.ts"
import { NO_SUBSCRIPTIONS, subscribe, unsubscribe } from "./subscriptions.ts"

export const step = (session: Session, input: Input, here: Here): Step =>
  (table[session.phase][input.type] as AnyCell)(session, input, here)

type AnyCell = (session: Session, input: Input, here: Here) => Step
type Cell<K extends Input["type"]> = (session: Session, input: Extract<Input, { type: K }>, here: Here) => Step
type Row = { readonly [K in Input["type"]]: Cell<K> }

// --- cells --------------------------------------------------------------------------------------------------------------

const close = (session: Session, why: Close, ...before: ReadonlyArray<Effect>): Step =>
  to({ ...session, phase: "closed" }, ...before, { type: "close", why })
const ended: Cell<"ended"> = (session) => stay({ ...session, phase: "closed" })

const needsSignIn: AnyCell = (session) =>
  close(session, "unauthorised", error("unauthorised", "the first frame must be AUTH", "send AUTH with a token, or ?token= on the address"))
const hold = (session: Session, frame: UpInput): Step => to(session, { type: "hold", frame: frame as Up })
const twice: Cell<"AUTH"> = (session) => to(session, error("malformed", "already signed in", "TOKEN_REFRESH brings a new token"))
const pong: Cell<"PING"> = (session) => to(session, send({ type: "PONG", payload: {} }))
const mutate: Cell<"MUTATE"> = (session, { payload }) => to(session, { type: "mutate", mutations: payload.mutations })
const refresh: Cell<"TOKEN_REFRESH"> = (session, { payload }) => to(session, { type: "refresh-token", token: payload.token })
const presence: Cell<"PRESENCE"> = (session) =>
  to(session, error("unavailable", "presence is not served", "PRESENCE is reserved in version 1 of the protocol"))

const again = (...before: ReadonlyArray<Effect>): AnyCell => (session, _, here) => ask(session, here.head, ...before)
const touched = (...before: ReadonlyArray<Effect>): Cell<"touched"> => (session, { at }, here) => ask(session, Math.max(at, here.head), ...before)

/** Takes a SUBSCRIBE's wishes, or says why not. */
const wishing = (
  onTaken: (session: Session, here: Here, payload: Extract<Input, { type: "SUBSCRIBE" }>["payload"], told: Effect) => Step,
): Cell<"SUBSCRIBE"> => (session, { payload }, here) => {
  const wished = subscribe(session.subscriptions, payload, here.isServed)
  if (Result.isFailure(wished) && wished.failure.code === "not_found" && !here.knowsEntities)
    return to(session, send({ type: "ERROR", payload: { code: "unavailable", message: "the log has not said yet which tables are tracked", hint: "reconnect then", retryAfter: 1 } }))
  if (Result.isFailure(wished)) return to(session, error(wished.failure.code, wished.failure.message, wished.failure.hint))
  const mode = payload.mode ?? session.mode
  if (mode !== session.mode && session.subscriptions.list.length > 0)
    return to(session, error("malformed", `this connection's mode is ${session.mode}`, "one mode a connection: UNSUBSCRIBE_ALL first, or open another"))
  return onTaken({ ...session, mode, subscriptions: wished.success }, here, payload, subscribed(wished.success))
}

const subscribed = (subscriptions: Subscriptions): Effect => send({ type: "SUBSCRIBED", payload: { count: subscriptions.list.length } })

/** The first SUBSCRIBE: its cursor says where the client stands. */
const firstSubscribe = wishing((session, here, { cursor: text }, told) => {
  if (text === undefined) return ask(session, here.head, told)
  const cursor = parseCursor(text)
  const reason = cursor === null ? "the cursor is not one" : here.epochs.problem(cursor.epoch, Math.max(cursor.seq, ...decided(cursor)))
  if (cursor === null || reason !== null) return ask(session, here.head, told, reset(reason ?? ""))
  const claim: Claim = { view: cursor.view, access: cursor.access ?? cursor.seq, partial: cursor.partial ?? null }
  return ask({ ...session, resume: cursor, claim }, here.head, told, { type: "place", position: cursor.seq })
})

const subscribeThen = (...before: ReadonlyArray<Effect>) => wishing((session, here, _, told) => ask(session, here.head, told, ...before))
/** An answer of authz that is on its way serves the new wishes as well. */
const subscribeMeanwhile = wishing((session, _, __, told) => to(session, told))

const without = (session: Session, input: Extract<Input, { type: "UNSUBSCRIBE" | "UNSUBSCRIBE_ALL" }>): Session => ({
  ...session,
  subscriptions:
    input.type === "UNSUBSCRIBE_ALL" ? NO_SUBSCRIPTIONS : unsubscribe(session.subscriptions, input.payload.entityCode, input.payload.entityIds),
})
type Unsubscribing = (session: Session, input: Extract<Input, { type: "UNSUBSCRIBE" | "UNSUBSCRIBE_ALL" }>, here: Here) => Step
const unsubscribeThen = (...before: ReadonlyArray<Effect>): Unsubscribing => (session, input, here) => {
  const next = without(session, input)
  return ask(next, here.head, subscribed(next.subscriptions), ...before)
}
const unsubscribeMeanwhile: Unsubscribing = (session, input) => {
  const next = without(session, input)
  return to(next, subscribed(next.subscriptions))
}

/** Waits in `resolving`, and asks again after a while. An answer that still comes is void. */
const waiting = (session: Session, code: Extract<Input, { type: "unresolved" }>["code"], message: string, hint: string): Step => {
  // What is too large does not pass by itself as what is away does.
  const tries = code === "too_large" ? Math.max(session.tries + 1, SLOW_TRIES) : session.tries + 1
  const retryAfter = Math.ceil(retryDelay(tries) / 1_000)
  return to(
    { ...session, phase: "resolving", tries, ask: session.ask + 1 },
    send({ type: "ERROR", payload: { code, message, hint, retryAfter } }),
    { type: "retry-later", tries },
  )
}

/** Milliseconds before the question is asked again, without jitter. */
export const retryDelay = (tries: number): number => Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(tries - 1, 20))
/** After so many tries it is RETRY_MOST_MS. */
const SLOW_TRIES = 1 + Math.ceil(Math.log2(RETRY_MOST_MS / RETRY_FIRST_MS))

const unresolved: Cell<"unresolved"> = (session, { ask: asked, code, message, hint }) => (asked === session.ask ? waiting(session, code, message, hint) : stay(session))
const unread: Cell<"unread"> = (session, { message, hint }) => waiting(session, "unavailable", message, hint)

/** No edge of this log can have told it that: a position of another history, or made up. */
const ahead: Cell<"ahead"> = (session, { ask: asked }, here) =>
  asked === session.ask
    ? ask({ ...session, resume: null }, here.head, reset("the cursor lies beyond the end of the log"), { type: "place", position: 0 })
    : stay(session)

const gave: Cell<"gave"> = (session, { after }) =>
  stay({ ...session, tries: 0, giving: session.giving === null ? null : { ...session.giving, after } })

// --- the table ----------------------------------------------------------------------------------------------------------

const STOP: Effect = { type: "stop" }
const LEAVE: Effect = { type: "leave" }

/** Answers and signals that were on their way when the phase changed. */
const late = {
  resolved: stay,
  unresolved: stay,
  ahead: stay,
  retry: stay,
  unread: stay,
  gave: stay,
  given: stay,
  "caught-up": stay,
  behind: stay,
  touched: stay,
  expired: stay,
  full: stay,
  drained: stay,
  "signed-in": stay,
  refused: stay,
  ended,
} as const satisfies Partial<Row>

/** Frames that mean the same in every phase after signing in. */
const signedIn = { AUTH: twice, PING: pong, MUTATE: mutate, TOKEN_REFRESH: refresh, PRESENCE: presence } as const satisfies Partial<Row>

const table: Readonly<Record<Phase, Row>> = {
  hello: {
    ...late,
    AUTH: (session, { payload }) => to({ ...session, phase: "checking" }, { type: "check-token", token: payload.token }),
    SUBSCRIBE: needsSignIn,
    UNSUBSCRIBE: needsSignIn,
    UNSUBSCRIBE_ALL: needsSignIn,
    MUTATE: needsSignIn,
    PRESENCE: needsSignIn,
    TOKEN_REFRESH: needsSignIn,
    PING: needsSignIn,
  },
  checking: {
    ...late,
    AUTH: twice,
    SUBSCRIBE: hold,
    UNSUBSCRIBE: hold,
    UNSUBSCRIBE_ALL: hold,
    MUTATE: hold,
    PRESENCE: hold,
    TOKEN_REFRESH: hold,
    PING: hold,
    "signed-in": (session) => stay({ ...session, phase: "idle" }),
    refused: (session, { code, message, hint }) => close(session, "unauthorised", error(code, message, hint)),
  },
  idle: {
    ...late,
    ...signedIn,
    SUBSCRIBE: firstSubscribe,
    UNSUBSCRIBE: unsubscribeMeanwhile,
    UNSUBSCRIBE_ALL: unsubscribeMeanwhile,
  },
  resolving: {
    ...late,
    ...signedIn,
    SUBSCRIBE: subscribeMeanwhile,
    UNSUBSCRIBE: unsubscribeMeanwhile,
    UNSUBSCRIBE_ALL: unsubscribeMeanwhile,
    resolved,
    unresolved,
    ahead,
    retry: again(),
  },
  giving: {
    ...late,
    ...signedIn,
    SUBSCRIBE: subscribeThen(STOP),
    UNSUBSCRIBE: unsubscribeThen(STOP),
    UNSUBSCRIBE_ALL: unsubscribeThen(STOP),
    gave,
    given: (session) => settle(session, []),
    unread,
    touched: touched(STOP),
    expired: again(STOP),
    full: (session) => to({ ...session, phase: "slow" }, STOP),
  },
  "catching-up": {
    ...late,
    ...signedIn,
    SUBSCRIBE: subscribeThen(STOP),
    UNSUBSCRIBE: unsubscribeThen(STOP),
    UNSUBSCRIBE_ALL: unsubscribeThen(STOP),
    "caught-up": (session) => to({ ...session, phase: "live", tries: 0 }, { type: "join", view: session.target }),
    behind: again(),
    unread,
    touched: touched(STOP),
    expired: again(STOP),
    full: (session) => to({ ...session, phase: "slow" }, STOP),
  },
  live: {
    ...late,
    ...signedIn,
    SUBSCRIBE: subscribeThen(LEAVE),
    UNSUBSCRIBE: unsubscribeThen(LEAVE),
    UNSUBSCRIBE_ALL: unsubscribeThen(LEAVE),
    touched: touched(LEAVE),
    expired: again(LEAVE),
    full: (session) => to({ ...session, phase: "slow" }, LEAVE),
  },
  slow: {
    ...late,
    ...signedIn,
    SUBSCRIBE: subscribeMeanwhile,
    UNSUBSCRIBE: unsubscribeMeanwhile,
    UNSUBSCRIBE_ALL: unsubscribeMeanwhile,
    drained: again(),
  },
  closed: {
    ...late,
    AUTH: stay,
    SUBSCRIBE: stay,
    UNSUBSCRIBE: stay,
    UNSUBSCRIBE_ALL: stay,
    MUTATE: stay,
    PRESENCE: stay,
    TOKEN_REFRESH: stay,
    PING: stay,
    ended: stay,
  },
}
