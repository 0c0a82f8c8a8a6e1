/**
 * Who was signed out, as of all that was read of the log. Unlike access it has no past: a token is asked about as of a position *or later*,
 * and whoever is refused a little early was signed out all the same.
 */
import type { Credential, SignOut } from "#protocol/sign-out.ts"
import { ends } from "#protocol/sign-out.ts"
import type { SignOutEvent } from "./acl-event.ts"

export class SignOuts {
  readonly #rows = new Map<string, SignOut>()
  readonly #users = new Map<string, Map<string, SignOut>>()

  /** The next of the log, in sequence order; what STATE has of before comes first. */
  apply({ key, signOut }: SignOutEvent): void {
    if (signOut === undefined) return
    const known = this.#rows.get(key)
    if (known !== undefined) {
      const rows = this.#users.get(known.user)
      rows?.delete(key)
      if (rows?.size === 0) this.#users.delete(known.user)
      this.#rows.delete(key)
    }
    if (signOut === null) return
    this.#rows.set(key, signOut)
    const rows = this.#users.get(signOut.user)
    if (rows === undefined) this.#users.set(signOut.user, new Map([[key, signOut]]))
    else rows.set(key, signOut)
  }

  get size(): number {
    return this.#rows.size
  }

  /** Whether the token is ended. */
  ended(credential: Credential): boolean {
    for (const signOut of this.#users.get(credential.userId)?.values() ?? []) if (ends(signOut, credential)) return true
    return false
  }
}
