/**
 * Whose access an event of the log may change: each connection is known by its user's principals, and an event on a grant or a
 * membership names one. Who is not named is not affected. From tail.ts to the connections.
 */
import { Result, Schema } from "effect"
import { GrantRow, MemberRow } from "#protocol/acl.ts"
import type { LogMessage } from "#nats/log.ts"

const decodeGrant = Schema.decodeUnknownResult(Schema.fromJsonString(GrantRow))
const decodeMember = Schema.decodeUnknownResult(Schema.fromJsonString(MemberRow))

/** The principals that an `_acl` event names, before it and after it; null where it cannot be read: then it may be anybody. */
const touchedBy = (message: LogMessage): ReadonlyArray<string> | null => {
  const images = [message.operation === "DELETE" ? "" : message.body, message.before ?? ""].filter((image) => image !== "")
  // A change or a removal whose image before is missing may have touched anybody.
  if (message.before === null && (message.operation === "UPDATE" || message.operation === "DELETE")) return null
  const principals: Array<string> = []
  for (const image of images) {
    const principal =
      message.address.entity === "_member"
        ? Result.map(decodeMember(image), (row) => row.member)
        : Result.map(decodeGrant(image), (row) => row.principal)
    if (Result.isFailure(principal)) return null
    principals.push(principal.success)
  }
  return principals
}

interface Touch {
  /** The position after the transaction. */
  readonly end: number
  /** Null: anybody's. */
  readonly principals: ReadonlySet<string> | null
}

export class Touches<M> {
  readonly #members = new Map<string, Set<M>>()
  readonly #everyone = new Set<M>()
  #recent: Array<Touch> = []
  #floor: number

  /** Knows of every touch after `position`. */
  constructor(position: number) {
    this.#floor = position
  }

  /** The member goes by these principals from now on. */
  register(member: M, principals: ReadonlyArray<string>, before: ReadonlyArray<string>): void {
    this.#everyone.add(member)
    if (principals.length === before.length && principals.every((principal, i) => principal === before[i])) return
    const after = new Set(principals)
    this.#take(member, before.filter((principal) => !after.has(principal)))
    for (const principal of principals) {
      const members = this.#members.get(principal)
      if (members === undefined) this.#members.set(principal, new Set([member]))
      else members.add(member)
    }
  }

  forget(member: M, principals: ReadonlyArray<string>): void {
    this.#everyone.delete(member)
    this.#take(member, principals)
  }

  #take(member: M, principals: ReadonlyArray<string>): void {
    for (const principal of principals) {
      const members = this.#members.get(principal)
      if (members?.delete(member) === true && members.size === 0) this.#members.delete(principal)
    }
  }

  /** Notes the transaction that ends at `end`, and answers whom it touches. */
  note(end: number, messages: ReadonlyArray<LogMessage>): ReadonlySet<M> {
    const principals = new Set<string>()
    for (const message of messages) {
      const named = touchedBy(message)
      if (named === null) {
        this.#recent.push({ end, principals: null })
        return new Set(this.#everyone)
      }
      for (const principal of named) principals.add(principal)
    }
    this.#recent.push({ end, principals })
    const touched = new Set<M>()
    for (const principal of principals) for (const member of this.#members.get(principal) ?? []) touched.add(member)
    return touched
  }

  /** Whether one of the principals was touched after `position`; true as well where that is no longer known. */
  since(position: number, principals: ReadonlyArray<string>): boolean {
    if (position < this.#floor) return true
    for (let i = this.#recent.length - 1; i >= 0; i--) {
      const touch = this.#recent[i]!
      if (touch.end <= position) return false
      if (touch.principals === null || principals.some((principal) => touch.principals!.has(principal))) return true
    }
    return false
  }

  /** What ended at or before `position` need not be known any more. */
  trim(position: number): void {
    if (position <= this.#floor) return
    this.#floor = position
    if (this.#recent.length > 0 && this.#recent[0]!.end <= position) this.#recent = this.#recent.filter((touch) => touch.end > position)
  }
}
