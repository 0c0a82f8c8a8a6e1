/**
 * Why somebody may do something: `authz.explain`, asked by edges for their users (`GET /v1/access`) and by the operator's tool. Authz decides who
 * may ask what; whoever may not is answered as if there were nothing.
 *
 * | asked                      | answers                                                   | who may ask                                       |
 * |----------------------------|-----------------------------------------------------------|---------------------------------------------------|
 * | `of`, `on`                 | the level held on all of `on`; every grant that gives something there | about oneself everybody, about others an administrator |
 * | `of` alone                 | every grant that gives something anywhere                 | the same                                          |
 * | `on` alone                 | everybody who holds something there                       | SHARE on all of it, or an administrator           |
 *
 * An administrator, here, is who has VIEW on all of `_grant` and of `_member`.
 */
import { Schema } from "effect"
import { EXPLAIN_PAGE } from "./limits.ts"
import { LEVELS } from "./grant.ts"
import { PatternSchema } from "./request.ts"

const LevelSchema = Schema.Literals(LEVELS)

export const ExplainRequest = Schema.Struct({
  /** The user who asks; null is the operator, who may ask anything. */
  asker: Schema.NullOr(Schema.String),
  /** A principal; null: everybody. */
  of: Schema.NullOr(Schema.String),
  /** Null: anywhere. */
  on: Schema.NullOr(PatternSchema),
  /** `on` is the address of one entity: a null scope means that it has none, not any. */
  exact: Schema.optionalKey(Schema.Boolean),
  /** As of this sequence or later. */
  at: Schema.optionalKey(Schema.Finite),
  /** `next` of the page before. */
  after: Schema.optionalKey(Schema.String),
  limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: EXPLAIN_PAGE }))),
})
export type ExplainRequest = typeof ExplainRequest.Type

/** A grant that gives something, and how it comes to whom it is given. */
export const ExplainedGrant = Schema.Struct({
  /** Null where only a part of the grant is shown. */
  id: Schema.NullOr(Schema.String),
  principal: Schema.String,
  scope: Schema.NullOr(Schema.String),
  entity: Schema.NullOr(Schema.String),
  entityId: Schema.NullOr(Schema.String),
  level: LevelSchema,
  expiresAt: Schema.NullOr(Schema.String),
  /** Null where nobody was named, or where the grant has changed again since. */
  grantedBy: Schema.NullOr(Schema.String),
  grantedAt: Schema.NullOr(Schema.String),
  /** It gives its level on all that was asked about, not only on some of it. */
  whole: Schema.Boolean,
  /** It reaches further than the asker may know: what is shown is cut down to what was asked about. */
  cut: Schema.Boolean,
  /** Each a way to it: the roles one after the other, the last one holding the grant. Empty: one's own grant, or everyone's. The shortest ones, up to EXPLAIN_PATHS. */
  paths: Schema.Array(Schema.Array(Schema.String)),
})
export type ExplainedGrant = typeof ExplainedGrant.Type

export const Holder = Schema.Struct({
  principal: Schema.String,
  /** On all of what was asked about; null: on some of it only. */
  level: Schema.NullOr(LevelSchema),
  /** The highest on any of it. */
  most: LevelSchema,
  /** The strongest, up to EXPLAIN_HOLDER_GRANTS. */
  grants: Schema.Array(ExplainedGrant),
  /** There are others. */
  more: Schema.Boolean,
})
export type Holder = typeof Holder.Type

export const ExplainReply = Schema.Struct({
  /** The sequence as of which this is so. */
  at: Schema.Finite,
  /** What `of` holds on all of `on`; null: nothing, or not asked. */
  level: Schema.NullOr(LevelSchema),
  /** Where `of` was named: by scope, entity and id, any first. */
  grants: Schema.Array(ExplainedGrant),
  /** Where it was not: everyone, roles, users, by name. */
  holders: Schema.Array(Holder),
  /** Where the next page begins, or null: this was the last. */
  next: Schema.NullOr(Schema.String),
})
export type ExplainReply = typeof ExplainReply.Type
