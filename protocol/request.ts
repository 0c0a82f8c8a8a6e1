/**
 * Requests between services over NATS: JSON in, JSON out. A reply is `{ok: true, value}` or `{ok: false, error}`.
 *
 * | subject                         | answered by                    |
 * |---------------------------------|--------------------------------|
 * | `authz.token`                   | services/authz                 |
 * | `authz.views`                   | services/authz                 |
 * | those two with `_all` (`ofAll`) | services/authz, each instance  |
 * | `authz.may`                     | services/authz                 |
 * | `authz.explain`                 | services/authz, `explain.ts`   |
 * | `authz.demo`                    | services/authz, in the demo    |
 * | `cmd.<scope>.<entity>.<id>`     | services/command               |
 * | `cmd._acl._access.<user>`       | services/command               |
 */
import { Schema } from "effect"
import { AccessChange, AccessChangeResult } from "./access-change.ts"
import { ERROR_CODES } from "./down.ts"
import { CURSOR_CHANGES, VIEWS_AT_ONCE } from "./limits.ts"
import { LEVELS } from "./grant.ts"
import { Mutation, MutationResult } from "./mutation.ts"

export const REQUEST = { token: "authz.token", views: "authz.views", may: "authz.may", explain: "authz.explain", demo: "authz.demo" } as const

/**
 * One instance of authz answers a question on its subject. On this subject all of them do, each on its own, and the first good answer counts: for whoever
 * got none, because the one that was to answer is stopped or cut off and the server does not know it yet.
 */
export const ofAll = (subject: string): string => `${subject}_all`

/** The queue groups that share the answering. */
export const QUEUE = { authz: "authz", command: "command" } as const

export class RequestError extends Schema.TaggedError<RequestError>()("RequestError", {
  code: Schema.Literals(ERROR_CODES),
  message: Schema.String,
  hint: Schema.String,
  /** Seconds. */
  retryAfter: Schema.optionalKey(Schema.Finite),
}) {}

export const PatternSchema = Schema.Struct({
  scope: Schema.NullOr(Schema.String),
  entity: Schema.NullOr(Schema.String),
  id: Schema.NullOr(Schema.String),
})

/**
 * Who is it, until when, as of sequence `at` or later? Fails with `unauthorised`, with `signed_out` where its user or session was signed out up to
 * there, and with `unavailable` where the fold does not reach `at` in time or the keys cannot be had.
 */
export const TokenRequest = Schema.Struct({ token: Schema.String, at: Schema.optionalKey(Schema.Finite) })
/** What a later sign-out is held against, too: see `sign-out.ts`. Times are seconds since 1970, as in the token. */
export const TokenReply = Schema.Struct({
  userId: Schema.String,
  expiresAt: Schema.Finite,
  /** Seconds until `expiresAt` by authz' clock: it judged the token, and all edges end with it at once, whatever their clocks say. */
  lasts: Schema.Finite,
  issuedAt: Schema.NullOr(Schema.Finite),
  sessionId: Schema.NullOr(Schema.String),
})
export type TokenReply = typeof TokenReply.Type

/**
 * What may users see, each exactly as of its own sequence `at`, and what could they as of each of `before`, of which a cursor speaks? An edge asks for many
 * at once when an event touched many. Of one whose `at` the fold does not reach in time, the answer is `unavailable`.
 */
export const ViewsRequest = Schema.Struct({
  asks: Schema.Array(
    Schema.Struct({ user: Schema.String, at: Schema.Finite, before: Schema.Array(Schema.Finite).check(Schema.isMaxLength(CURSOR_CHANGES + 1)) }),
  ).check(Schema.isMinLength(1), Schema.isMaxLength(VIEWS_AT_ONCE)),
})
export type ViewAsk = (typeof ViewsRequest.Type)["asks"][number]
/** `view` is the place of a list of patterns among `patterns`: users with the same rights share one. */
const ViewOf = Schema.Struct({
  /** `user:<id>`, `role:<name>`…, `everyone`: an `_acl` event that names one of these may change the answer. */
  principals: Schema.Array(Schema.String),
  view: Schema.Finite,
  /**
   * What its holder surely had as of each of `before`. Null where that is not known of one of them, because it lies further back than the log is
   * held, or because a grant of then has run out since and nobody knows whether the holder was told: start over.
   */
  before: Schema.NullOr(Schema.Array(Schema.Finite)),
  /** Milliseconds since 1970 of the first expiry among the grants, or null: ask again then. */
  expiresAt: Schema.NullOr(Schema.Finite),
})
export const ViewsReply = Schema.Struct({
  /** In the order in which was asked. There may be fewer: what is left did not fit (VIEWS_BYTES), and is to be asked again. */
  views: Schema.Array(Schema.Union([ViewOf, Schema.Struct({ error: RequestError })])),
  /** Lists of patterns, each pattern as `[scope, entity, id]`. The edge reads them itself: there may be very many. */
  patterns: Schema.Array(Schema.Unknown),
})
export type ViewsReply = typeof ViewsReply.Encoded
/** A pattern in `ViewsReply.patterns`. */
export type PatternTuple = readonly [scope: string | null, entity: string | null, id: string | null]

/** May the user do this to the entity, as of `at` or later? */
export const MayRequest = Schema.Struct({
  user: Schema.String,
  level: Schema.Literals(LEVELS),
  scope: Schema.NullOr(Schema.String),
  entity: Schema.String,
  id: Schema.String,
  at: Schema.optionalKey(Schema.Finite),
})
export const MayReply = Schema.Struct({ allowed: Schema.Boolean })

/** Only in the demo: a token for one of its people. */
export const DemoRequest = Schema.Struct({ user: Schema.String })
export const DemoReply = Schema.Struct({ token: Schema.String })

/** Who asks for it and how: what the outbox keeps for the audit. */
const author = {
  user: Schema.String,
  requestId: Schema.String,
  endpoint: Schema.String,
  method: Schema.String,
  userAgent: Schema.NullOr(Schema.String),
  ip: Schema.NullOr(Schema.String),
  trace: Schema.NullOr(Schema.String),
}

export const CommandRequest = Schema.Struct({ ...author, mutation: Mutation })
export const CommandReply = MutationResult

export const AccessChangeRequest = Schema.Struct({ ...author, change: AccessChange })
export const AccessChangeReply = AccessChangeResult

export const reply = <S extends Schema.Constraint>(value: S) =>
  Schema.Union([
    Schema.Struct({ ok: Schema.Literal(true), value }),
    Schema.Struct({ ok: Schema.Literal(false), error: RequestError }),
  ])
