/**
 * What a user may see, from authz, as of a sequence. Connections of one user that ask about the same sequence at the same time share one
 * question. Nothing is remembered: a later question is a new one.
 */
import type { Pattern } from "#protocol/grant.ts"
import { PatternSet } from "./pattern-set.ts"
import type { Requests } from "./requests.ts"

export interface Access {
  readonly user: string
  readonly at: number
  readonly principals: ReadonlyArray<string>
  readonly allowed: ReadonlyArray<Pattern>
  /** The same, to be asked about addresses. */
  readonly patterns: PatternSet
  readonly allowedBefore: ReadonlyArray<Pattern> | null
  /** Milliseconds since 1970, or null. */
  readonly expiresAt: number | null
}

export class Accesses {
  readonly #requests: Requests
  readonly #asked = new Map<string, Promise<Access>>()

  constructor(requests: Requests) {
    this.#requests = requests
  }

  /** Rejects with a `RequestError`. */
  resolve(user: string, at: number, before: number | null): Promise<Access> {
    const key = `${at} ${before ?? ""} ${user}`
    const asked = this.#asked.get(key)
    if (asked !== undefined) return asked
    const answer = this.#ask(user, at, before).finally(() => this.#asked.delete(key))
    this.#asked.set(key, answer)
    return answer
  }

  async #ask(user: string, at: number, before: number | null): Promise<Access> {
    const { principals, allowed, allowedBefore, expiresAt } = await this.#requests.view(user, at, before)
    return { user, at, principals, allowed, patterns: new PatternSet(allowed), allowedBefore, expiresAt }
  }
}

/** Sees nothing. */
export const NO_ACCESS = new PatternSet([])
