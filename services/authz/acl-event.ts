/**
 * A grant, a membership or a sign-out as it comes from the log (`chg._acl._grant.<id>`, …), made ready for the fold. A grant or membership
 * that cannot be read takes its access away: what nobody understands grants nothing. A sign-out that cannot be read undoes none: what is known of it stays.
 */
import { Schema } from "effect"
import { GrantRow, MemberRow } from "#protocol/acl.ts"
import type { Operation } from "#protocol/event.ts"
import type { Pattern } from "#protocol/grant.ts"
import { LEVELS } from "#protocol/grant.ts"
import type { SignOut } from "#protocol/sign-out.ts"
import { SignOutRow, signOutOf } from "#protocol/sign-out.ts"
import type { LogMessage } from "#nats/log.ts"

/** What the fold reads of the log. */
export const ACL_PATTERNS: ReadonlyArray<Pattern> = [
  { scope: null, entity: "_grant", id: null },
  { scope: null, entity: "_member", id: null },
  { scope: null, entity: "_sign_out", id: null },
]

/** What a row of the access tables says. */
export type Fact =
  | {
      readonly kind: "grant"
      readonly principal: string
      readonly pattern: Pattern
      /** Index in LEVELS. */
      readonly rank: number
      /** Milliseconds since 1970, or null: for ever. */
      readonly expiresAt: number | null
    }
  | { readonly kind: "member"; readonly member: string; readonly role: string }

export interface AclEvent {
  readonly seq: number
  /** The row's key: entity and id. */
  readonly key: string
  readonly operation: Operation
  /** The row after the change; null where it is gone. */
  readonly fact: Fact | null
  /** The row before, where the event took something away. */
  readonly before: Fact | null
  /** Why a row could not be read. */
  readonly problem?: string
}

const decodeGrant = Schema.decodeUnknownSync(GrantRow)
const decodeMember = Schema.decodeUnknownSync(MemberRow)
const RANKS: ReadonlyMap<unknown, number> = new Map(LEVELS.map((level, rank) => [level, rank]))

const timestamp = /^(\d{4,6})(-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?:\+00:00|Z)( BC)?$/

/** Milliseconds since 1970, with their fraction, of a timestamptz as the log has it (protocol/README.md); null: never. */
const expiry = (text: string): number | null => {
  if (text === "infinity") return null
  const match = timestamp.exec(text)
  if (text === "-infinity" || match?.[4] !== undefined) return 0
  const [, year = "", rest, fraction = "0"] = match ?? []
  const whole = Date.parse(`${year.length === 4 ? year : `+${year.padStart(6, "0")}`}${rest}Z`)
  // Postgres knows of years for which a Date has no room.
  if (Number.isNaN(whole) && year.length === 6) return null
  if (Number.isNaN(whole)) throw new Error(`expires_at is not a time: ${text}`)
  return whole + Number(fraction) * 1_000
}

const isTextOrNull = (value: unknown): value is string | null => value === null || typeof value === "string"

/**
 * The row as the schemas read it. A start reads a hundred thousand of them, so they are looked at by hand, at a tenth of what a schema costs;
 * a row that is not as it should be goes through its schema, which says what is wrong.
 */
const readFact = (entity: string, json: string): Fact => {
  const row = (JSON.parse(json) ?? {}) as Readonly<Record<string, unknown>>
  if (entity === "_member") {
    const { member, role } = typeof row["member"] === "string" && typeof row["role"] === "string" ? (row as unknown as MemberRow) : decodeMember(row)
    return { kind: "member", member, role }
  }
  const rank = RANKS.get(row["level"])
  const isGrant =
    rank !== undefined && typeof row["id"] === "string" && typeof row["principal"] === "string" && [row["scope"], row["entity"], row["entity_id"], row["expires_at"]].every(isTextOrNull)
  const grant = isGrant ? (row as unknown as GrantRow) : decodeGrant(row)
  const expiresAt = grant.expires_at === null ? null : expiry(grant.expires_at)
  return {
    kind: "grant",
    principal: grant.principal,
    pattern: { scope: grant.scope, entity: grant.entity, id: grant.entity_id },
    rank: rank ?? LEVELS.indexOf(grant.level),
    expiresAt,
  }
}

export interface SignOutEvent {
  /** The row's key: its id. */
  readonly key: string
  /** Null: the row is gone. Undefined: it cannot be read. */
  readonly signOut: SignOut | null | undefined
  /** Why a row could not be read. */
  readonly problem?: string
}

const decodeSignOut = Schema.decodeUnknownSync(Schema.fromJsonString(SignOutRow))

/** The event that a message of `_sign_out` is. */
export const signOutEvent = ({ address, operation, body }: LogMessage): SignOutEvent => {
  const key = address.id
  if (operation === "DELETE") return { key, signOut: null }
  try {
    return { key, signOut: signOutOf(decodeSignOut(body)) }
  } catch (error) {
    return { key, signOut: undefined, problem: `${address.entity} ${key}: ${error instanceof Error ? error.message : String(error)}` }
  }
}

export const isSignOut = (message: LogMessage): boolean => message.address.entity === "_sign_out"

/** The event that a message of `ACL_PATTERNS` is, where it is no sign-out. */
export const aclEvent = (message: LogMessage): AclEvent => {
  const { address, operation, seq } = message
  let problem: string | undefined
  const read = (json: string | null): Fact | null => {
    if (json === null || json === "") return null
    try {
      return readFact(address.entity, json)
    } catch (error) {
      problem = `${address.entity} ${address.id}: ${error instanceof Error ? error.message : String(error)}`
      return null
    }
  }
  const fact = operation === "DELETE" ? null : read(message.body)
  const before = read(message.before)
  const event = { seq, key: `${address.entity}/${address.id}`, operation, fact, before }
  return problem === undefined ? event : { ...event, problem }
}
