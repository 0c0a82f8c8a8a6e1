/** What a session is, what comes in, what goes out: the words that session.ts and resolved.ts are written in. */
import type { Close } from "#protocol/close.ts"
import type { Cursor, Partly } from "#protocol/cursor.ts"
import { viewToken } from "#protocol/cursor.ts"
import type { Down, ErrorCode } from "#protocol/down.ts"
import type { ViewPattern } from "#protocol/grant.ts"
import type { Mutation } from "#protocol/mutation.ts"
import type { Mode, Up } from "#protocol/up.ts"
import type { Epochs } from "./epochs.ts"
import type { PatternSet } from "./pattern-set.ts"
import type { Holding } from "./retarget.ts"
import { NOTHING } from "./retarget.ts"
import type { Subscriptions } from "./subscriptions.ts"
import { NO_SUBSCRIPTIONS } from "./subscriptions.ts"

export type Phase = "hello" | "checking" | "idle" | "resolving" | "giving" | "catching-up" | "live" | "slow" | "closed"

/** The part of a cursor that is not the position. */
export interface Claim {
  readonly view: string
  /** The sequence as of which access was decided; where the position is beyond it, the position's own. */
  readonly access: number
  readonly partial: Partly | null
}

/** What the claim's view does not say of what is held: it may be there or not, since the last time that all was settled. */
export interface Unsure {
  readonly patterns: ReadonlyArray<ViewPattern>
  /** The sequences as of which access was decided meanwhile; null where the view changed for another reason too, so that the log could not tell. */
  readonly changes: ReadonlyArray<number> | null
}
export const SURE: Unsure = { patterns: [], changes: [] }

export interface Session {
  readonly phase: Phase
  readonly subscriptions: Subscriptions
  readonly mode: Mode
  readonly claim: Claim
  readonly holding: Holding
  readonly unsure: Unsure
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
  readonly isServed: (entity: string) => boolean
  /** Whether an entity that is not served is none: a log that was made anew says which tables are tracked a moment after it begins. */
  readonly knowsEntities: boolean
}

export type UpInput = { readonly [F in Up as F["type"]]: { readonly type: F["type"]; readonly payload: F["payload"] } }[Up["type"]]

export type Input =
  | UpInput
  | { readonly type: "signed-in" }
  | { readonly type: "refused"; readonly code: ErrorCode; readonly message: string; readonly hint: string }
  | Resolved
  /** No answer. `too_large`: the user was granted more than one can hold, which stays so until grants change. */
  | { readonly type: "unresolved"; readonly ask: number; readonly code: Extract<ErrorCode, "unavailable" | "too_large">; readonly message: string; readonly hint: string }
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
  readonly allowed: PatternSet
  /** As of each sequence that was asked about beside `at`; null where one of them is not known. */
  readonly allowedBefore: ReadonlyArray<PatternSet> | null
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
  | { readonly type: "ask"; readonly ask: number; readonly at: number; readonly before: ReadonlyArray<number> }
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
  unsure: SURE,
  resume: null,
  target: [],
  targetAt: 0,
  giving: null,
  ask: 0,
  tries: 0,
}

// --- steps ----------------------------------------------------------------------------------------------------------------

export const to = (session: Session, ...effects: ReadonlyArray<Effect>): Step => ({ session, effects })
export const stay = (session: Session): Step => ({ session, effects: [] })
export const send = (frame: Down): Effect => ({ type: "send", frame })
export const error = (code: ErrorCode, message: string, hint: string): Effect => send({ type: "ERROR", payload: { code, message, hint } })
/** Asks authz as of `at`, or of the edge's position where that is later. What the old cursor speaks of is asked about beside it. */
export const ask = (session: Session, at: number, ...before: ReadonlyArray<Effect>): Step => {
  const { resume } = session
  const next = { ...session, phase: "resolving", ask: session.ask + 1 } as const
  const seen = resume === null ? [] : decided(resume)
  return to(next, ...before, { type: "ask", ask: next.ask, at: Math.max(at, ...seen, resume?.seq ?? 0), before: seen })
}

/** The sequences as of which what the cursor's holder holds was decided. */
export const decided = ({ seq, access, partial }: Cursor): ReadonlyArray<number> => [access ?? seq, ...(partial instanceof Array ? partial : [])]

export const reset = (reason: string): Effect => send({ type: "RESET", payload: { reason } })
