/** The rows of the access tables as they travel in the log (`chg._acl._grant.<id>`, `chg._acl._member.<id>`). */
import { Schema } from "effect"
import { LEVELS } from "./grant.ts"

/** `user:<id>`, `role:<name>` or `everyone`. */
export const Principal = Schema.String
export const EVERYONE = "everyone"
export const userPrincipal = (user: string): string => `user:${user}`
export const rolePrincipal = (role: string): string => `role:${role}`

/** A row of `authz.grants`. Null scope, entity or entity_id means all. */
export class GrantRow extends Schema.Class<GrantRow>("GrantRow")({
  id: Schema.String,
  principal: Principal,
  scope: Schema.NullOr(Schema.String),
  entity: Schema.NullOr(Schema.String),
  entity_id: Schema.NullOr(Schema.String),
  level: Schema.Literals(LEVELS),
  expires_at: Schema.NullOr(Schema.String),
}) {}

/** A row of `authz.members`: `member` is `user:<id>` or, for a role inside a role, `role:<name>`. */
export class MemberRow extends Schema.Class<MemberRow>("MemberRow")({
  role: Schema.String,
  member: Principal,
}) {}
