/**
 * Whom a sign-out ends: each connection is known by its user, and an event on a sign-out names one. From tail.ts to the connections. Also the
 * sign-outs of late: a token was asked about as of a position, and by the time of the answer the edge may have passed another.
 */
import { Result, Schema } from "effect"
import type { Credential, SignOut } from "#protocol/sign-out.ts"
import { SignOutRow, ends, signOutOf } from "#protocol/sign-out.ts"
import type { LogMessage } from "#nats/log.ts"

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(SignOutRow))

/** What can be ended: it came with this. */
interface Bearer {
  readonly credential: Credential | null
}

interface Recent {
  /** The position after the transaction. */
  readonly end: number
  readonly signOut: SignOut
}

export class SignOuts<B extends Bearer> {
  readonly #bearers = new Map<string, Set<B>>()
  #recent: Array<Recent> = []
  #floor: number

  /** Knows of every sign-out after `position`. */
  constructor(position: number) {
    this.#floor = position
  }

  register(bearer: B, user: string): void {
    const bearers = this.#bearers.get(user)
    if (bearers === undefined) this.#bearers.set(user, new Set([bearer]))
    else bearers.add(bearer)
  }

  forget(bearer: B, user: string): void {
    const bearers = this.#bearers.get(user)
    if (bearers?.delete(bearer) === true && bearers.size === 0) this.#bearers.delete(user)
  }

  /** Notes the transaction that ends at `end`, and answers whom it ends. A row that cannot be read ends nobody: authz says so in its log. */
  note(end: number, messages: ReadonlyArray<LogMessage>): ReadonlySet<B> {
    const ended = new Set<B>()
    for (const message of messages) {
      if (message.operation === "DELETE") continue
      const row = decode(message.body)
      if (Result.isFailure(row)) continue
      const signOut = signOutOf(row.success)
      this.#recent.push({ end, signOut })
      for (const bearer of this.#bearers.get(signOut.user) ?? []) if (bearer.credential !== null && ends(signOut, bearer.credential)) ended.add(bearer)
    }
    return ended
  }

  /** Whether the token was ended after `position`; null where that is no longer known. */
  since(position: number, credential: Credential): boolean | null {
    if (position < this.#floor) return null
    for (let i = this.#recent.length - 1; i >= 0; i--) {
      const { end, signOut } = this.#recent[i]!
      if (end <= position) return false
      if (ends(signOut, credential)) return true
    }
    return false
  }

  /** What ended at or before `position` need not be known any more. */
  trim(position: number): void {
    if (position <= this.#floor) return
    this.#floor = position
    if (this.#recent.length > 0 && this.#recent[0]!.end <= position) this.#recent = this.#recent.filter(({ end }) => end > position)
  }
}
