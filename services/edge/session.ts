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
import type { Cursor } from "#protocol/cursor.ts"
import { parseCursor, parseView, viewToken } from "#protocol/cursor.ts"
import type { Down, ErrorCode } from "#protocol/down.ts"
import type { Pattern, ViewPattern } from "#protocol/grant.ts"
import { normalise, restrict } from "#protocol/grant.ts"
import { RETRY_FIRST_MS, RETRY_MOST_MS, VIEW_PATTERNS } from "#protocol/limits.ts"
import type { Mutation } from "#protocol/mutation.ts"
import type { Mode, Up } from "#protocol/up.ts"
import type { Epochs } from "./epochs.ts"
import type { Holding } from "./retarget.ts"
import { NOTHING, retarget } from "./retarget.ts"
import type { Subscriptions } from "./subscriptions.ts"
import { NO_SUBSCRIPTIONS, subscribe, unsubscribe } from "./subscriptions.ts"

export type Phase = "hello" | "checking" | "idle" | "resolving" | "giving" | "catching-up" | "live" | "slow" | "closed"

/** The part of a cursor that is not the position. */
export interface Claim {
  readonly view: string
  /** The sequence as of which access was decided; where the position is beyond it, the position's own. */
  readonly access: number
  readonly partial: string | null
}

export interface Session {
  readonly phase: Phase
  readonly subscriptions: Subscriptions
  readonly mode: Mode
  readonly claim: Claim
  readonly holding: Holding
  /** The cursor that the client came back with, until authz has said what it was allowed. */
  readonly resume: Cursor | null
  /** What it should see, as last resolved. */
  readonly target: ReadonlyArray<ViewPattern>
  /** The sequence as of which that was decided. */
  readonly targetAt: number
  /** What is being given, and the sequence up to which STATE was read for it. */
  readonly giving: { readonly token: string; readonly after: number } | null
  /** Counts the questions to authz: an answer to an older one is void. */
  readonly ask: number
  /** Questions to authz or STATE in a row that got no answer. */
  readonly tries: number
}

/** What the interpreter knows when an input comes. */
export interface Here {
  /** Up to here the client was told everything it may see, or there was nothing to tell. */
  readonly position: number
  /** The edge's own position. */
  readonly head: number
  readonly epochs: Epochs
  readonly isTracked: (entity: string) => boolean
}

type UpInput = { readonly [F in Up as F["type"]]: { readonly type: F["type"]; readonly payload: F["payload"] } }[Up["type"]]

export type Input =
  | UpInput
  | { readonly type: "signed-in" }
  | { readonly type: "refused"; readonly message: string; readonly hint: string }
  | Resolved
  | { readonly type: "unresolved"; readonly ask: number; readonly message: string; readonly hint: string }
  /** The stream ends before the position that was asked about. */
  | { readonly type: "ahead"; readonly ask: number }
  | { readonly type: "retry" }
  /** STATE could not be read. */
  | { readonly type: "unread"; readonly message: string; readonly hint: string }
  | { readonly type: "gave"; readonly after: number }
  | { readonly type: "given" }
  | { readonly type: "caught-up" }
  /** The catch-up has reached what it may tell, and the ring has gone on meanwhile. */
  | { readonly type: "behind" }
  /** An access event that names one of the user's principals is in the transaction that ends at `at`. */
  | { readonly type: "touched"; readonly at: number }
  | { readonly type: "expired" }
  | { readonly type: "full" }
  | { readonly type: "drained" }
  | { readonly type: "ended" }

export interface Resolved {
  readonly type: "resolved"
  readonly ask: number
  readonly at: number
  readonly allowed: ReadonlyArray<Pattern>
  readonly allowedBefore: ReadonlyArray<Pattern> | null
  /** The first sequence that CHANGES still holds, where the position may be older. */
  readonly first: number | null
  /** Access was touched again after `at`. */
  readonly stale: boolean
}

export type Effect =
  | { readonly type: "send"; readonly frame: Down }
  | { readonly type: "check-token"; readonly token: string }
  | { readonly type: "refresh-token"; readonly token: string }
  | { readonly type: "mutate"; readonly mutations: ReadonlyArray<Mutation> }
  /** The frame counts once the token is checked. */
  | { readonly type: "hold"; readonly frame: Up }
  /** The client stands here. */
  | { readonly type: "place"; readonly position: number }
  | { readonly type: "ask"; readonly ask: number; readonly at: number; readonly before: number | null }
  | { readonly type: "retry-later"; readonly tries: number }
  /** A HEARTBEAT with this claim. */
  | { readonly type: "announce"; readonly claim: Claim }
  | { readonly type: "give"; readonly patterns: ReadonlyArray<ViewPattern>; readonly after: number; readonly upTo: number }
  | { readonly type: "catch-up"; readonly view: ReadonlyArray<ViewPattern>; readonly upTo: number }
  /** Ends the reading that is under way. */
  | { readonly type: "stop" }
  /** LIVE, and into the live index. */
  | { readonly type: "join"; readonly view: ReadonlyArray<ViewPattern> }
  | { readonly type: "leave" }
  | { readonly type: "close"; readonly why: Close }

export interface Step {
  readonly session: Session
  readonly effects: ReadonlyArray<Effect>
}

export const NEW_SESSION: Session = {
  phase: "hello",
  subscriptions: NO_SUBSCRIPTIONS,
  mode: "data",
  claim: { view: viewToken([]), access: 0, partial: null },
  holding: NOTHING,
  resume: null,
  target: [],
  targetAt: 0,
  giving: null,
  ask: 0,
  tries: 0,
}

export const step = (session: Session, input: Input, here: Here): Step =>
  (table[session.phase][input.type] as AnyCell)(session, input, here)

type AnyCell = (session: Session, input: Input, here: Here) => Step
type Cell<K extends Input["type"]> = (session: Session, input: Extract<Input, { type: K }>, here: Here) => Step
type Row = { readonly [K in Input["type"]]: Cell<K> }

// --- cells --------------------------------------------------------------------------------------------------------------

const to = (session: Session, ...effects: ReadonlyArray<Effect>): Step => ({ session, effects })
const stay = (session: Session): Step => ({ session, effects: [] })
const send = (frame: Down): Effect => ({ type: "send", frame })
const error = (code: ErrorCode, message: string, hint: string): Effect => send({ type: "ERROR", payload: { code, message, hint } })
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

/** Asks authz as of `at`, or of the edge's position where that is later. The old cursor's view is asked about beside it. */
const ask = (session: Session, at: number, ...before: ReadonlyArray<Effect>): Step => {
  const { resume } = session
  const next = { ...session, phase: "resolving", ask: session.ask + 1 } as const
  const seen = resume === null ? null : (resume.access ?? resume.seq)
  return to(next, ...before, { type: "ask", ask: next.ask, at: Math.max(at, seen ?? 0, resume?.seq ?? 0), before: seen })
}

const again = (...before: ReadonlyArray<Effect>): AnyCell => (session, _, here) => ask(session, here.head, ...before)
const touched = (...before: ReadonlyArray<Effect>): Cell<"touched"> => (session, { at }, here) => ask(session, Math.max(at, here.head), ...before)

/** Takes a SUBSCRIBE's wishes, or says why not. */
const wishing = (
  onTaken: (session: Session, here: Here, payload: Extract<Input, { type: "SUBSCRIBE" }>["payload"], told: Effect) => Step,
): Cell<"SUBSCRIBE"> => (session, { payload }, here) => {
  const wished = subscribe(session.subscriptions, payload, here.isTracked)
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
  const reason = cursor === null ? "the cursor is not one" : here.epochs.problem(cursor.epoch, Math.max(cursor.seq, cursor.access ?? 0))
  if (cursor === null || reason !== null) return ask(session, here.head, told, reset(reason ?? ""))
  const claim: Claim = { view: cursor.view, access: cursor.access ?? cursor.seq, partial: cursor.partial ?? null }
  return ask({ ...session, resume: cursor, claim }, here.head, told, { type: "place", position: cursor.seq })
})

const reset = (reason: string): Effect => send({ type: "RESET", payload: { reason } })

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

/** Authz has answered: what must be told, given, caught up. */
const resolved: Cell<"resolved"> = (session, input, here) => {
  if (input.ask !== session.ask) return stay(session)
  if (input.stale) return ask(session, here.head)
  const effects: Array<Effect> = []
  let { claim, holding, subscriptions } = session
  let { position } = here
  if (session.resume !== null) {
    const judged = judge(session.resume, subscriptions, input)
    if (typeof judged === "string") {
      effects.push(reset(judged), { type: "place", position: 0 })
      position = 0
    } else holding = judged
  }
  let target = tooMany(subscriptions.asked, input.allowed) ? null : restrict(subscriptions.asked, input.allowed)
  if (target === null || target.length > VIEW_PATTERNS) {
    effects.push(error("too_large", "the subscriptions come to too many patterns and were dropped", "ask for scopes, or for the whole type"))
    subscriptions = NO_SUBSCRIPTIONS
    target = []
  }
  // Whoever stands at 0 holds nothing, so everything is after its position: nothing is lost, and nothing comes beside the flow.
  const { lost, gained, kept } = position === 0 ? { lost: [], gained: [], kept: target } : retarget(holding, target)
  if (lost.length > 0 || gained.length > 0) {
    const partial = viewToken(normalise([...lost, ...gained]))
    claim = lost.length === 0 ? { ...claim, partial } : { view: viewToken(kept), access: input.at, partial }
    effects.push({ type: "announce", claim }, ...lost.map(revoked))
    holding = { held: lost.length === 0 ? holding.held : kept, partial: gained }
  }
  const next: Session = { ...session, subscriptions, claim, holding, target, targetAt: input.at, resume: null }
  if (gained.length === 0) return settle(next, effects)
  const token = viewToken(gained)
  const after = lost.length === 0 && session.giving?.token === token ? session.giving.after : 0
  return to({ ...next, phase: "giving", giving: { token, after } }, ...effects, { type: "give", patterns: gained, after, upTo: position })
}

/** The whole target is held as of the position. What comes after it is left. */
const settle = (session: Session, effects: ReadonlyArray<Effect>): Step => {
  const { subscriptions, target, targetAt } = session
  const claim: Claim = { view: viewToken(subscriptions.asked), access: targetAt, partial: null }
  const next: Session = { ...session, phase: "catching-up", giving: null, holding: { held: target, partial: [] }, claim }
  return to(next, ...effects, { type: "catch-up", view: target, upTo: targetAt })
}

const revoked = ({ entity, scope, id }: ViewPattern): Effect =>
  send({
    type: "ACCESS_REVOKED",
    payload: { entityCode: entity, ...(id !== null ? { entityId: id } : scope !== null ? { scope } : {}) },
  })

/** What the cursor's holder holds, or why nobody can tell: then it starts over. */
const judge = (cursor: Cursor, { asked }: Subscriptions, { allowedBefore, first }: Resolved): Holding | string => {
  if (cursor.seq === 0) return NOTHING
  if (first !== null && cursor.seq < first - 1) return "the cursor is older than the history that is kept"
  if (allowedBefore === null) return "what the cursor's holder was allowed to see is no longer known"
  const view = cursor.view === viewToken(asked) ? asked : parseView(cursor.view)
  const partial = cursor.partial === undefined ? [] : parseView(cursor.partial)
  if (view === null || partial === null) return "the cursor's view was too long to spell out, and is not the one subscribed to"
  if (tooMany(view, allowedBefore)) return "the cursor's view is too large"
  return { held: restrict(view, allowedBefore), partial }
}

/** Comparisons that cutting a view down may cost: some hundred milliseconds of everybody's time, at the very most. */
const COMPARISONS = 2_000_000
const tooMany = (asked: ReadonlyArray<ViewPattern>, allowed: ReadonlyArray<Pattern>): boolean => asked.length * allowed.length > COMPARISONS

/** Waits in `resolving`, and asks again after a while. An answer that still comes is void. */
const waiting = (session: Session, message: string, hint: string): Step => {
  const tries = session.tries + 1
  const retryAfter = Math.ceil(retryDelay(tries) / 1_000)
  return to(
    { ...session, phase: "resolving", tries, ask: session.ask + 1 },
    send({ type: "ERROR", payload: { code: "unavailable", message, hint, retryAfter } }),
    { type: "retry-later", tries },
  )
}

/** Milliseconds before the question is asked again, without jitter. */
export const retryDelay = (tries: number): number => Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(tries - 1, 20))

const unresolved: Cell<"unresolved"> = (session, { ask: asked, message, hint }) => (asked === session.ask ? waiting(session, message, hint) : stay(session))
const unread: Cell<"unread"> = (session, { message, hint }) => waiting(session, message, hint)

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
    refused: (session, { message, hint }) => close(session, "unauthorised", error("unauthorised", message, hint)),
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
