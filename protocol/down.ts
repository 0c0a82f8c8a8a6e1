/** Frames from an edge to a client: JSON text `{type, payload}`. */
import { Schema } from "effect"
import { MutationResult, Row } from "./mutation.ts"

const frame = <T extends string, P extends Schema.Struct.Fields>(type: T, payload: P) =>
  Schema.Struct({ type: Schema.Literal(type), payload: Schema.Struct(payload) })

/** One change of one entity. `version` is the stream sequence of the entity's newest change: what is not newer than what one holds is ignored. */
export const Change = Schema.Struct({
  entityCode: Schema.String,
  entityId: Schema.String,
  scope: Schema.NullOr(Schema.String),
  operation: Schema.Literals(["INSERT", "UPDATE", "DELETE"]),
  version: Schema.Finite,
  /** The row after the change; null for a deletion. */
  data: Schema.NullOr(Row),
  /** ISO 8601. */
  timestamp: Schema.String,
  /** The user id of who did it, where the writer said so. */
  by: Schema.NullOr(Schema.String),
  mutationId: Schema.optionalKey(Schema.String),
})
export type Change = typeof Change.Type

export const Invalidation = Schema.Struct({
  entityCode: Schema.String,
  entityId: Schema.String,
  action: Schema.Literals(["CREATE", "UPDATE", "DELETE"]),
  version: Schema.Finite,
})
export type Invalidation = typeof Invalidation.Type

/**
 * A frame with these moves the position: a client applies it only where it stands at `from`, and then stands at `to` and
 * keeps `cursor`. A client that holds nothing stands at 0. Where `from` = `to` it is state of something newly seen, beside the flow.
 */
const moves = { from: Schema.Finite, to: Schema.Finite, cursor: Schema.String }

export const AuthSuccess = frame("AUTH_SUCCESS", {
  userId: Schema.String,
  connectionId: Schema.String,
  /** ISO 8601: when the token ends. */
  expiresAt: Schema.String,
  /** The session that the token is of (its `sid`), where it says so: what a sign-out of this session names. */
  sessionId: Schema.optionalKey(Schema.String),
})
export const Subscribed = frame("SUBSCRIBED", { count: Schema.Finite })
/** A catch-up says how far it is: changes sent of changes there are. */
export const Progress = Schema.Struct({ done: Schema.Finite, of: Schema.Finite })
/** `more`: the transaction, or the catch-up, goes on in the next frame. */
export const Changes = frame("CHANGES", {
  ...moves,
  changes: Schema.Array(Change),
  more: Schema.optionalKey(Schema.Boolean),
  progress: Schema.optionalKey(Progress),
})
export const Invalidate = frame("INVALIDATE", {
  ...moves,
  changes: Schema.Array(Invalidation),
  more: Schema.optionalKey(Schema.Boolean),
  progress: Schema.optionalKey(Progress),
})
/** Everything subscribed so far has caught up; what follows is live. */
export const Live = frame("LIVE", moves)
/** Every HEARTBEAT_MS. `lagMs`: how old the edge's view of the stream may be. */
export const Heartbeat = frame("HEARTBEAT", { ...moves, lagMs: Schema.Finite })
/** Forget the entity, or the scope of the type, or all of the type: documents, drafts and edits that wait. */
export const AccessRevoked = frame("ACCESS_REVOKED", {
  entityCode: Schema.String,
  entityId: Schema.optionalKey(Schema.String),
  scope: Schema.optionalKey(Schema.String),
})
/** Drop what you hold (of the type, or all) and stand at 0; a full state follows. */
export const Reset = frame("RESET", { reason: Schema.String, entityCode: Schema.optionalKey(Schema.String) })
export const Mutated = frame("MUTATED", { results: Schema.Array(MutationResult) })
export const PresenceOf = frame("PRESENCE", {
  entityCode: Schema.String,
  entityId: Schema.String,
  users: Schema.Array(Schema.Struct({ userId: Schema.String, state: Schema.Unknown })),
})
export const TokenExpiringSoon = frame("TOKEN_EXPIRING_SOON", { expiresIn: Schema.Finite })
export const Pong = frame("PONG", {})

/** What an ERROR frame, an HTTP error body and a failed request over NATS call their reasons. */
export const ERROR_CODES = [
  /** The frame or parameter is not what the protocol says. */
  "malformed",
  /** The frame type is not one of the protocol's. */
  "unknown_type",
  /** Sign in first, or the token is not valid. */
  "unauthorised",
  /** The user, or the session that the token is of, was signed out: the device forgets what is the user's. A new token signs in again. */
  "signed_out",
  /** Not a tracked entity, or not a possible address. */
  "not_found",
  /** Beyond a bound of limits.ts. */
  "too_large",
  "too_many",
  /** The service behind is away or behind; `retryAfter` says when to ask again. */
  "unavailable",
  /** A broken promise inside; the connection ends. */
  "internal",
] as const
export type ErrorCode = (typeof ERROR_CODES)[number]

export const ErrorFrame = frame("ERROR", {
  code: Schema.Literals(ERROR_CODES),
  message: Schema.String,
  hint: Schema.String,
  /** Seconds. */
  retryAfter: Schema.optionalKey(Schema.Finite),
})

export const Down = Schema.Union([
  AuthSuccess, Subscribed, Changes, Invalidate, Live, Heartbeat, AccessRevoked, Reset, Mutated, PresenceOf, TokenExpiringSoon, Pong, ErrorFrame,
])
export type Down = typeof Down.Type
export type DownType = Down["type"]
