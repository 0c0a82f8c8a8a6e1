/**
 * Who may see what, as of which sequence: a pure fold over the log's grants and memberships.
 *
 * Each row of the access tables is kept as the intervals of sequences [from, to) in which it held and said the same. An event
 * at n ends one interval at n and may begin another. So any question about a sequence s between the horizon and the position is
 * answered exactly: a row held at s iff from <= s < to. What was there before the first event that is known of it has no known
 * beginning, and holds as far back as anything is known.
 *
 * The horizon is the oldest sequence that can be vouched for: the one before the first that CHANGES holds. Every event after it
 * was read; of what was before, STATE says what was left. Who asks about something older is told that it is not known.
 *
 * Two clocks meet here. The log says when a row was deleted, a position like any other. `expires_at` says when it stops counting,
 * and is compared with the time of the question, so that access ends when it should though Postgres be away. authz.expire()
 * deletes the row soon after. A client that was told to forget at the expiry, and whose access was renewed later, stands at a
 * sequence at which the row held all the same: whether it holds the rows cannot be told from its position. `heldAt` then says that it
 * does not know (null), and the client starts over.
 *
 * A role may be a member of a role, in circles too.
 */
import { EVERYONE, rolePrincipal, userPrincipal } from "#protocol/acl.ts"
import type { Level, Pattern } from "#protocol/grant.ts"
import { LEVELS, covers, matches, normalise, patternOrder } from "#protocol/grant.ts"
import { CLOCK_SKEW_S, FOLD_FORGET_SLICE, FOLD_KEPT_FROM, FOLD_KEPT_PATTERNS } from "#protocol/limits.ts"
import type { Address } from "#protocol/subject.ts"
import type { AclEvent, Fact } from "./acl-event.ts"
import { SignOuts } from "./sign-outs.ts"

interface Interval {
  readonly key: string
  readonly fact: Fact
  readonly from: number
  /** Infinity while it holds. */
  to: number
}

type GrantFact = Extract<Fact, { kind: "grant" }>
export interface GrantInterval extends Interval {
  readonly fact: GrantFact
}
type MemberFact = Extract<Fact, { kind: "member" }>
export interface MemberInterval extends Interval {
  readonly fact: MemberFact
  /** The principal that the role is: one text for all its members. */
  readonly into: string
}

export interface Allowed {
  /** Normalised. */
  readonly allowed: ReadonlyArray<Pattern>
  /** Milliseconds since 1970 of the first expiry among the grants that count now, or null. */
  readonly expiresAt: number | null
}

export interface View extends Allowed {
  /** The user, every role and everyone: whose rows the answer rests on. */
  readonly principals: ReadonlyArray<string>
}

/** What many grants come to, worked out once: it is asked again for each connection of the user, and whenever one of them comes back. */
interface Kept extends Allowed {
  /** As of this sequence and all later ones up to the newest. */
  readonly since: number
  /** By clocks that show this or later, until the first expiry. */
  readonly from: number
  /** Until then by every clock: none of the grants has run out, or might have for somebody. */
  readonly sureUntil: number
}

const ALWAYS = Number.NEGATIVE_INFINITY
const NEVER = Number.POSITIVE_INFINITY
/** A sequence at which exactly what holds now holds. */
const NOW = Number.MAX_SAFE_INTEGER

const holds = (interval: Interval, seq: number): boolean => interval.from <= seq && seq < interval.to

export class Fold {
  #horizon: number
  /** Of every row seen, the interval that holds, or null: it is gone. */
  readonly #rows = new Map<string, Interval | null>()
  readonly #grants = new Map<string, Array<GrantInterval>>()
  /** Principals whose grants came out of order since they were last asked for: in order, they are merged and normalised without being sorted each time. */
  readonly #unordered = new Set<string>()
  readonly #members = new Map<string, Array<MemberInterval>>()
  /** As of all that was applied. */
  readonly signOuts = new SignOuts()
  /** Texts of rows, each once; begun anew with every `forget`. */
  readonly #texts = new Map<string, string>()
  /** The newest sequence at which a grant of the principal began or ended. */
  readonly #changed = new Map<string, number>()
  /** By those of the principals that have grants; those asked for last stand last. */
  readonly #kept = new Map<string, Kept>()
  #keptPatterns = 0
  #held = 0
  #applied = 0

  /** `horizon`: everything that happens after this sequence will be told to `apply`. */
  constructor(horizon: number) {
    this.#horizon = horizon
  }

  get horizon(): number {
    return this.#horizon
  }

  /** Rows that hold now. */
  get size(): number {
    return this.#held
  }

  /** The newest event that was applied. As of it, and of anything later that is known to have been reached, what holds now holds. */
  get applied(): number {
    return this.#applied
  }

  /** A row of STATE whose newest event is not after the horizon. Where a later event was applied already, that one said what was before it. */
  base(event: AclEvent): void {
    if (this.#rows.has(event.key)) return
    if (event.fact !== null) this.#begin(event.key, event.fact, ALWAYS)
  }

  /** The next event of the log, in sequence order. One of a row that was told of already must be newer. */
  apply(event: AclEvent): void {
    const { key, seq } = event
    this.#applied = seq
    const known = this.#rows.get(key)
    if (known !== undefined && known !== null) {
      if (event.fact !== null && sameFact(known.fact, event.fact)) return
      this.#end(known, seq)
    } else if (known === undefined && event.before !== null) {
      // The first that is known of it says that it was there before.
      this.#end(this.#begin(key, event.before, ALWAYS), seq)
    }
    if (event.fact === null) this.#rows.set(key, null)
    else this.#begin(key, event.fact, seq)
  }

  #begin(key: string, fact: Fact, from: number): Interval {
    const lean = this.#lean(fact)
    const interval: GrantInterval | MemberInterval =
      lean.kind === "grant" ? { key, fact: lean, from, to: NEVER } : { key, fact: lean, from, to: NEVER, into: this.#text(rolePrincipal(lean.role)) }
    if (isGrant(interval)) {
      const { principal, pattern } = interval.fact
      this.#change(principal, from)
      const last = this.#grants.get(principal)?.at(-1)
      if (last !== undefined && patternOrder(last.fact.pattern, pattern) > 0) this.#unordered.add(principal)
      push(this.#grants, principal, interval)
    } else push(this.#members, interval.fact.member, interval)
    this.#rows.set(key, interval)
    this.#held += 1
    return interval
  }

  /** The same with texts that others hold as well: a hundred thousand rows name the same scopes and roles, and a user in several. */
  #lean(fact: Fact): Fact {
    if (fact.kind === "member") return { kind: "member", member: this.#text(fact.member), role: this.#text(fact.role) }
    const { principal, pattern, rank, expiresAt } = fact
    const { scope, entity, id } = pattern
    return { kind: "grant", principal: this.#text(principal), pattern: { scope: scope === null ? null : this.#text(scope), entity: entity === null ? null : this.#text(entity), id }, rank, expiresAt }
  }

  #text(text: string): string {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    this.#texts.set(text, text)
    return text
  }

  #end(interval: Interval, seq: number): void {
    interval.to = seq
    this.#held -= 1
    if (interval.fact.kind === "grant") this.#change(interval.fact.principal, seq)
  }

  #change(principal: string, seq: number): void {
    if (seq !== ALWAYS) this.#changed.set(principal, seq)
    // It held as of what was answered already, too.
    else if (this.#kept.size > 0) {
      this.#kept.clear()
      this.#keptPatterns = 0
    }
  }

  /**
   * What ended at or before `horizon` is of no use any more: from now on nobody is told of what was before it. What it takes up is given back
   * as the caller goes through the slices; others may ask and apply between two of them. Moves only forward.
   */
  forget(horizon: number): Iterable<void> {
    if (horizon <= this.#horizon) return []
    this.#horizon = horizon
    return this.#forgetting()
  }

  *#forgetting(): Iterable<void> {
    this.#texts.clear()
    let looked = 0
    // A row that is gone can only come back as an insertion, which needs no memory.
    for (const [key, row] of this.#rows) {
      if (row === null) this.#rows.delete(key)
      if (++looked % FOLD_FORGET_SLICE === 0) yield
    }
    for (const index of [this.#grants, this.#members] as ReadonlyArray<Map<string, Array<Interval>>>) {
      for (const [principal, intervals] of index) {
        const kept = intervals.filter((interval) => interval.to > this.#horizon)
        if (kept.length === 0) {
          index.delete(principal)
          if (index === this.#grants) {
            this.#unordered.delete(principal)
            this.#changed.delete(principal)
          }
        }
        else if (kept.length < intervals.length) index.set(principal, kept)
        looked += intervals.length
        if (looked < FOLD_FORGET_SLICE) continue
        looked = 0
        yield
      }
    }
  }

  /** The user's principals as of `seq`. */
  principals(user: string, seq: number): ReadonlyArray<string> {
    const found = new Set([userPrincipal(user), EVERYONE])
    // A set is walked in the order of insertion, what is added on the way too: that is the closure.
    for (const principal of found) {
      for (const membership of this.#members.get(principal) ?? []) {
        if (holds(membership, seq)) found.add(membership.into)
      }
    }
    return [...found]
  }

  *#grantsOf(principals: ReadonlyArray<string>, seq: number): Iterable<GrantInterval> {
    for (const principal of principals) {
      for (const grant of this.#ordered(principal)) if (holds(grant, seq)) yield grant
    }
  }

  #ordered(principal: string): ReadonlyArray<GrantInterval> {
    const grants = this.#grants.get(principal)
    if (grants === undefined || !this.#unordered.delete(principal)) return grants ?? []
    // A list of its own: who is in the middle of the old one goes through it to its end.
    const ordered = grants.toSorted((a, b) => patternOrder(a.fact.pattern, b.fact.pattern))
    this.#grants.set(principal, ordered)
    return ordered
  }

  /** What the user may see as of `seq`, at the time `now` (milliseconds since 1970). `seq` must not lie beyond what was applied. */
  view(user: string, seq: number, now: number): View {
    const principals = this.principals(user, seq)
    return { principals, ...this.allowed(principals, seq, now) }
  }

  /** Those of the principals that have or had grants: the same of them have the same rights. */
  granted(principals: ReadonlyArray<string>): ReadonlyArray<string> {
    return principals.filter((principal) => this.#grants.has(principal))
  }

  /** What the grants of these principals come to. While it stays the same where they are many, it is the same list. */
  allowed(principals: ReadonlyArray<string>, seq: number, now: number): Allowed {
    const place = this.#placeToKeep(principals, seq)
    const kept = place === null ? null : this.#keptAt(place, now)
    if (kept !== null) return { allowed: kept.allowed, expiresAt: kept.expiresAt }
    const patterns: Array<Pattern> = []
    let expiresAt: number | null = null
    let sureUntil = NEVER
    for (const { fact } of this.#grantsOf(principals, seq)) {
      if (fact.expiresAt !== null) {
        sureUntil = Math.min(sureUntil, fact.expiresAt - CLOCK_SKEW_S * 1_000)
        if (fact.expiresAt <= now) continue
        if (expiresAt === null || fact.expiresAt < expiresAt) expiresAt = fact.expiresAt
      }
      patterns.push(fact.pattern)
    }
    const allowed = normalise(patterns)
    if (place !== null) this.#keep(place.key, { allowed, expiresAt, since: place.since, from: now, sureUntil })
    return { allowed, expiresAt }
  }

  /** Where that is kept which many grants come to as of `seq`; null where they are few, or have changed since. */
  #placeToKeep(principals: ReadonlyArray<string>, seq: number): { readonly key: string; readonly since: number } | null {
    let [grants, since] = [0, ALWAYS]
    const granted = this.granted(principals)
    for (const principal of granted) {
      grants += this.#grants.get(principal)!.length
      since = Math.max(since, this.#changed.get(principal) ?? ALWAYS)
    }
    return grants < FOLD_KEPT_FROM || seq < since ? null : { key: granted.join("\0"), since }
  }

  #keptAt({ key, since }: { readonly key: string; readonly since: number }, now: number): Kept | null {
    const kept = this.#kept.get(key)
    if (kept === undefined || kept.since !== since || now < kept.from || (kept.expiresAt !== null && kept.expiresAt <= now)) return null
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    return kept
  }

  #keep(key: string, kept: Kept): void {
    this.#drop(key)
    this.#kept.set(key, kept)
    this.#keptPatterns += kept.allowed.length
    for (const oldest of this.#kept.keys()) {
      if (this.#keptPatterns <= FOLD_KEPT_PATTERNS) return
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    this.#keptPatterns -= this.#kept.get(key)?.allowed.length ?? 0
    this.#kept.delete(key)
  }

  /** What a client of the user that stands at `seq` was allowed to hold, normalised; null where that is not known. */
  heldAt(user: string, seq: number, now: number): ReadonlyArray<Pattern> | null {
    return this.held(this.principals(user, seq), seq, now)
  }

  /** The same by the user's principals as of `seq`. */
  held(principals: ReadonlyArray<string>, seq: number, now: number): ReadonlyArray<Pattern> | null {
    if (seq < this.#horizon) return null
    const place = this.#placeToKeep(principals, seq)
    const kept = place === null ? null : this.#keptAt(place, now)
    if (kept !== null && now < kept.sureUntil) return kept.allowed
    const sure: Array<Pattern> = []
    const doubtful: Array<Pattern> = []
    for (const { fact } of this.#grantsOf(principals, seq)) {
      // Whoever told the client by the clock may have had another clock, and may not have heard of a renewal.
      const ranOut = fact.expiresAt !== null && fact.expiresAt - CLOCK_SKEW_S * 1_000 <= now
      ;(ranOut ? doubtful : sure).push(fact.pattern)
    }
    return doubtful.every((pattern) => sure.some((wide) => covers(wide, pattern))) ? normalise(sure) : null
  }

  // --- for explain.ts, which goes through all there is, a slice at a time ----------------------------------------------------

  /** Every principal of which a grant is known. */
  grantees(): Iterable<string> {
    return this.#grants.keys()
  }

  /** Every principal of which a membership is known. */
  members(): Iterable<string> {
    return this.#members.keys()
  }

  /** Grants to this principal itself that held as of `seq`, expired ones too. */
  grantsTo(principal: string, seq: number): Iterable<GrantInterval> {
    return this.#grantsOf([principal], seq)
  }

  /** Memberships of this principal itself that held as of `seq`. */
  membershipsOf(principal: string, seq: number): ReadonlyArray<MemberInterval> {
    return (this.#members.get(principal) ?? []).filter((membership) => holds(membership, seq))
  }

  /** Whether the user has `level` over the entity, by all that was applied, at the time `now`. */
  may(user: string, level: Level, at: Address, now: number): boolean {
    const needed = LEVELS.indexOf(level)
    for (const { fact } of this.#grantsOf(this.principals(user, NOW), NOW)) {
      if (fact.rank >= needed && (fact.expiresAt === null || fact.expiresAt > now) && matches(fact.pattern, at)) return true
    }
    return false
  }
}

const isGrant = (interval: GrantInterval | MemberInterval): interval is GrantInterval => interval.fact.kind === "grant"

const push = <V>(index: Map<string, Array<V>>, key: string, value: V): void => {
  const values = index.get(key)
  if (values === undefined) index.set(key, [value])
  else values.push(value)
}

const sameFact = (a: Fact, b: Fact): boolean =>
  a.kind === "grant" && b.kind === "grant"
    ? a.principal === b.principal &&
      a.rank === b.rank &&
      a.expiresAt === b.expiresAt &&
      a.pattern.scope === b.pattern.scope &&
      a.pattern.entity === b.pattern.entity &&
      a.pattern.id === b.pattern.id
    : a.kind === "member" && b.kind === "member" && a.role === b.role && a.member === b.member
