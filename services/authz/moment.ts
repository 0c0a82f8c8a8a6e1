/** The fold as of one sequence and one time, as people's questions walk it (explain.ts): which grants count, through which roles, and what they give. */
import { rolePrincipal } from "#protocol/acl.ts"
import type { Level, Pattern } from "#protocol/grant.ts"
import { covers, intersect, LEVELS } from "#protocol/grant.ts"
import { EXPLAIN_PATHS } from "#protocol/limits.ts"
import type { Fold, GrantInterval } from "./fold.ts"

/** What is asked about: everything, a pattern, or one entity's address. */
export interface On {
  readonly pattern: Pattern
  readonly exact: boolean
}

/** A grant with the ways to it. */
export interface Given {
  readonly grant: GrantInterval
  readonly paths: ReadonlyArray<ReadonlyArray<string>>
}

export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly next: string | null
}

/** As of one sequence and one time. */
export class Moment {
  readonly fold: Fold
  readonly seq: number
  readonly now: number

  constructor(fold: Fold, seq: number, now: number) {
    this.fold = fold
    this.seq = seq
    this.now = now
  }

  /** Grants to the principal itself that count. */
  *grants(principal: string): Iterable<GrantInterval> {
    for (const grant of this.fold.grantsTo(principal, this.seq)) {
      const { expiresAt } = grant.fact
      if (expiresAt === null || expiresAt > this.now) yield grant
    }
  }

  /** Whom the principal counts as, and the shortest ways to each. A way names no role twice. */
  ways(principal: string): ReadonlyMap<string, ReadonlyArray<ReadonlyArray<string>>> {
    const ways = new Map<string, Array<ReadonlyArray<string>>>([[principal, [[]]]])
    const queue: Array<readonly [string, ReadonlyArray<string>]> = [[principal, []]]
    // An array is walked in the order in which it grows: breadth first, each principal at most EXPLAIN_PATHS times.
    for (const [from, way] of queue) {
      for (const { fact } of this.fold.membershipsOf(from, this.seq)) {
        const to = rolePrincipal(fact.role)
        if (way.includes(fact.role) || to === principal) continue
        let known = ways.get(to)
        if (known === undefined) ways.set(to, (known = []))
        if (known.length >= EXPLAIN_PATHS) continue
        const longer = [...way, fact.role]
        known.push(longer)
        queue.push([to, longer])
      }
    }
    return ways
  }

  /** Whether the user holds the level on all of the pattern by one grant. */
  holds(user: string, level: Level, pattern: Pattern): boolean {
    const needed = LEVELS.indexOf(level)
    for (const principal of this.fold.principals(user, this.seq))
      for (const { fact } of this.grants(principal)) if (fact.rank >= needed && covers(fact.pattern, pattern)) return true
    return false
  }
}

export const gives = (grant: GrantInterval, { pattern, exact }: On): boolean =>
  exact ? covers(grant.fact.pattern, pattern) : intersect(grant.fact.pattern, pattern) !== null

export const isWhole = (grant: GrantInterval, on: On | null): boolean => on === null || covers(grant.fact.pattern, on.pattern)

/** In the order of scope, entity and id, any before every value. */
export const grantOrder = ({ fact }: GrantInterval): string =>
  [fact.pattern.scope, fact.pattern.entity, fact.pattern.id].map((part) => (part === null ? "" : `=${part}`)).concat(fact.principal).join("\0")
