/**
 * A user's wish to change who may do what, and what became of it. It goes over HTTP (`POST /v1/access`) and never waits in an
 * offline queue: a revocation that is sent late is none.
 *
 * Who may (db/functions/05_access_change.sql decides, in the transaction that writes):
 * - `grant`, `revoke`: who has one grant, their own, a role's or everyone's, that covers the whole pattern, with SHARE or above, with
 *   at least the level that is given, and with at least the level of the grant that is replaced or taken back. A grant does not outlive
 *   the one it rests on when it is given. The log's own entities (`_grant`, …) are covered by grants that name them alone.
 * - `join`, `leave`: who may EDIT the membership (`_member`).
 * - `sign-out`: oneself always, others who may EDIT `_sign_out`.
 *
 * Who may not is answered `denied` in the same words whether there was such a thing or not.
 */
import { Schema } from "effect"
import { Principal } from "./acl.ts"
import { LEVELS } from "./grant.ts"

/** Made by the client, unique among its mutations and changes of access: a repeat with the same id is answered, not applied again. */
const id = Schema.String

/** What it is about. Null is any, and must be said: what was forgotten must not mean everything. */
const pattern = {
  principal: Principal,
  scope: Schema.NullOr(Schema.String),
  entity: Schema.NullOr(Schema.String),
  entityId: Schema.NullOr(Schema.String),
}

const instant = Schema.String.check(
  Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)$/, { description: "an instant as in 2026-11-21T10:00:00Z" }),
)

export const AccessChange = Schema.Union([
  /** Replaces the level and expiry of a grant with the same principal and pattern. */
  Schema.Struct({ id, type: Schema.Literal("grant"), ...pattern, level: Schema.Literals(LEVELS), expiresAt: Schema.NullOr(instant) }),
  /** Takes back the grant with exactly this principal and pattern. Where there is none, nothing is to be done, and that is `applied`. */
  Schema.Struct({ id, type: Schema.Literal("revoke"), ...pattern }),
  /** `member`: `user:<id>`, or `role:<name>` for a role inside a role. */
  Schema.Struct({ id, type: Schema.Literals(["join", "leave"]), role: Schema.String, member: Principal }),
  /** Ends one session of a user (the `sid` of its tokens), or with null all there are. */
  Schema.Struct({ id, type: Schema.Literal("sign-out"), user: Schema.String, session: Schema.NullOr(Schema.String) }),
])
export type AccessChange = typeof AccessChange.Type

export const ACCESS_CHANGE_STATUSES = ["applied", "denied", "invalid"] as const

export class AccessChangeResult extends Schema.Class<AccessChangeResult>("AccessChangeResult")({
  id: Schema.String,
  /** applied: done, now or before. denied: not allowed. invalid: it cannot be, see `message`. */
  status: Schema.Literals(ACCESS_CHANGE_STATUSES),
  message: Schema.optionalKey(Schema.String),
}) {}
