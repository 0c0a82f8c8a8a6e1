/**
 * Who was signed out: a row of `authz.sign_outs` as it travels in the log (`chg._acl._sign_out.<id>`), and which tokens it ends. The one
 * rule of it: authz asks it of tokens that are presented, an edge of those that its connections came with.
 */
import { Schema } from "effect"

export class SignOutRow extends Schema.Class<SignOutRow>("SignOutRow")({
  id: Schema.String,
  user_id: Schema.String,
  /** Null: all of the user's. */
  session: Schema.NullOr(Schema.String),
  /** By Postgres' clock. */
  signed_out_at: Schema.String,
}) {}

export interface SignOut {
  readonly user: string
  /** Null: all of the user's. */
  readonly session: string | null
  /** Milliseconds since 1970. */
  readonly at: number
}

/** What a token says of itself that a sign-out asks about. */
export interface Credential {
  readonly userId: string
  /** `iat`: seconds since 1970. Null: the token does not say when it was issued. */
  readonly issuedAt: number | null
  /** `sid`. Null: the token is of no session. */
  readonly sessionId: string | null
}

/** Rejects nothing: a time that cannot be read is the end of time, and signs out whatever was ever issued. */
export const signOutOf = (row: SignOutRow): SignOut => {
  const at = Date.parse(row.signed_out_at)
  return { user: row.user_id, session: row.session, at: Number.isNaN(at) ? Number.POSITIVE_INFINITY : at }
}

/**
 * Whether the token is ended: it is of the session, or was not issued after its user was signed out of all. Both times are cut to
 * milliseconds, so that one that was issued within the same is ended; a token that gives whole seconds, as most do, within the same second.
 */
export const ends = ({ user, session, at }: SignOut, { userId, issuedAt, sessionId }: Credential): boolean =>
  user === userId && (session === null ? issuedAt === null || Math.floor(issuedAt * 1_000) <= at : session === sessionId)
