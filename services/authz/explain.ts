/**
 * Why somebody may do something: which grants give it, through which roles, who granted them (protocol/explain.ts says who may ask what).
 * Asked for by people, so it may cost more than a connection's question, but never makes one of those wait: whoever goes through all grants
 * stops every few milliseconds, and one at a time does.
 *
 * The fold decides. Who granted a row, and when, it does not keep: with 100,000 grants that would be some 10 MB of texts in each process for
 * what nothing is decided by. It is read from STATE for the rows of one page. A row that has changed again since is told without.
 */
import { Result, Schema } from "effect"
import { EVERYONE, rolePrincipal, userPrincipal } from "#protocol/acl.ts"
import type { ExplainedGrant, ExplainReply, ExplainRequest, Holder } from "#protocol/explain.ts"
import type { Level, Pattern } from "#protocol/grant.ts"
import { covers, intersect, LEVELS } from "#protocol/grant.ts"
import { EXPLAIN_HOLDER_GRANTS, EXPLAIN_PAGE_DEFAULT, EXPLAIN_PATHS, EXPLAIN_TURN_MS } from "#protocol/limits.ts"
import { RequestError } from "#protocol/request.ts"
import type { Log } from "#nats/log.ts"
import { LogError } from "#nats/log.ts"
import type { Fold, GrantInterval } from "./fold.ts"
import type { LiveFold } from "./live-fold.ts"

/** What is asked about: everything, a pattern, or one entity's address. */
interface On {
  readonly pattern: Pattern
  readonly exact: boolean
}

/** A grant with the ways to it. */
interface Given {
  readonly grant: GrantInterval
  readonly paths: ReadonlyArray<ReadonlyArray<string>>
}

/** Strangers to a grant that reaches beyond what they asked about are shown the part they asked about. */
type Shown = "all" | "part"

/** As of one sequence and one time. */
class Moment {
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

const gives = (grant: GrantInterval, { pattern, exact }: On): boolean =>
  exact ? covers(grant.fact.pattern, pattern) : intersect(grant.fact.pattern, pattern) !== null

const isWhole = (grant: GrantInterval, on: On | null): boolean => on === null || covers(grant.fact.pattern, on.pattern)

/** In the order of scope, entity and id, any before every value. */
const grantOrder = ({ fact }: GrantInterval): string =>
  [fact.pattern.scope, fact.pattern.entity, fact.pattern.id].map((part) => (part === null ? "" : `=${part}`)).concat(fact.principal).join("\0")

// --- one principal's ------------------------------------------------------------------------------------------------------

interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly next: string | null
}

const grantsOf = (moment: Moment, of: string, on: On | null, after: string, limit: number): Page<Given> & { readonly level: Level | null } => {
  const ways = new Map(moment.ways(of))
  if (of.startsWith("user:")) ways.set(EVERYONE, [[]])
  const found: Array<{ readonly order: string; readonly given: Given }> = []
  let rank = -1
  for (const [principal, paths] of ways) {
    for (const grant of moment.grants(principal)) {
      if (on !== null && !gives(grant, on)) continue
      if (on !== null && isWhole(grant, on)) rank = Math.max(rank, grant.fact.rank)
      const order = grantOrder(grant)
      if (order > after) found.push({ order, given: { grant, paths } })
    }
  }
  found.sort((a, b) => (a.order < b.order ? -1 : 1))
  const items = found.slice(0, limit)
  return { items: items.map((one) => one.given), next: found.length > limit ? items.at(-1)!.order : null, level: LEVELS[rank] ?? null }
}

// --- everybody's ----------------------------------------------------------------------------------------------------------

/** What one principal's own grants give. */
interface Direct {
  whole: number
  most: number
  count: number
  /** The strongest. */
  readonly strongest: Array<GrantInterval>
}

const holdersOf = async (moment: Moment, on: On, shown: Shown, after: string, limit: number, turn: () => Promise<void> | null): Promise<Page<Found>> => {
  const { fold, seq } = moment
  const direct = new Map<string, Direct>()
  for (const principal of fold.grantees()) {
    for (const grant of moment.grants(principal)) {
      if (!gives(grant, on) || (shown === "part" && !isShareable(grant, on))) continue
      const { rank } = grant.fact
      let own = direct.get(principal)
      if (own === undefined) direct.set(principal, (own = { whole: -1, most: -1, count: 0, strongest: [] }))
      own.count += 1
      own.most = Math.max(own.most, rank)
      if (isWhole(grant, on)) own.whole = Math.max(own.whole, rank)
      keepStrongest(own.strongest, grant, on)
    }
    const pause = turn()
    if (pause !== null) await pause
  }
  // Down the roles: who is inside one that holds something.
  const roles = new Set([...direct.keys()].filter(isRole))
  const inside = [...fold.members()].filter(isRole)
  for (let before = -1; before < roles.size; ) {
    before = roles.size
    for (const role of inside) if (!roles.has(role) && fold.membershipsOf(role, seq).some(({ fact }) => roles.has(rolePrincipal(fact.role)))) roles.add(role)
    const pause = turn()
    if (pause !== null) await pause
  }
  const first = new Least(limit + 1)
  const offer = (principal: string): void => {
    if (principal > after) first.offer(principal)
  }
  for (const principal of direct.keys()) offer(principal)
  for (const role of roles) offer(role)
  for (const member of fold.members()) {
    if (!direct.has(member) && !isRole(member) && fold.membershipsOf(member, seq).some(({ fact }) => roles.has(rolePrincipal(fact.role)))) offer(member)
    const pause = turn()
    if (pause !== null) await pause
  }
  const principals = first.sorted()
  const items = principals.slice(0, limit).map((principal) => found(moment, principal, direct, on))
  return { items, next: principals.length > limit ? items.at(-1)!.principal : null }
}

interface Found {
  readonly principal: string
  readonly whole: number
  readonly most: number
  readonly given: ReadonlyArray<Given>
  readonly more: boolean
}

const found = (moment: Moment, principal: string, direct: ReadonlyMap<string, Direct>, on: On): Found => {
  let [whole, most, count] = [-1, -1, 0]
  const given: Array<Given> = []
  for (const [held, paths] of moment.ways(principal)) {
    const own = direct.get(held)
    if (own === undefined) continue
    whole = Math.max(whole, own.whole)
    most = Math.max(most, own.most)
    count += own.count
    for (const grant of own.strongest) given.push({ grant, paths })
  }
  given.sort((a, b) => stronger(a.grant, b.grant, on))
  return { principal, whole, most, given: given.slice(0, EXPLAIN_HOLDER_GRANTS), more: count > EXPLAIN_HOLDER_GRANTS }
}

const isRole = (principal: string): boolean => principal.startsWith("role:")

/** Grants on all of it first, then by level, then in their order. */
const stronger = (a: GrantInterval, b: GrantInterval, on: On): number =>
  Number(isWhole(b, on)) - Number(isWhole(a, on)) || b.fact.rank - a.fact.rank || (grantOrder(a) < grantOrder(b) ? -1 : 1)

const keepStrongest = (kept: Array<GrantInterval>, grant: GrantInterval, on: On): void => {
  if (kept.length === EXPLAIN_HOLDER_GRANTS && stronger(kept.at(-1)!, grant, on) < 0) return
  kept.push(grant)
  kept.sort((a, b) => stronger(a, b, on))
  if (kept.length > EXPLAIN_HOLDER_GRANTS) kept.pop()
}

/** A grant on an id in any scope may be about an entity that is elsewhere: its id is not for those who share this pattern alone. */
const isShareable = ({ fact }: GrantInterval, on: On): boolean => fact.pattern.scope !== null || fact.pattern.id === null || on.pattern.id !== null

/** The least of many texts, in memory for a few. */
class Least {
  readonly #most: number
  #kept: Array<string> = []

  constructor(most: number) {
    this.#most = most
  }

  offer(text: string): void {
    this.#kept.push(text)
    if (this.#kept.length >= 4 * this.#most) this.#kept = this.sorted()
  }

  /** Each once. */
  sorted(): Array<string> {
    return [...new Set(this.#kept)].sort().slice(0, this.#most)
  }
}

// --- the answer -----------------------------------------------------------------------------------------------------------

export interface Explaining {
  readonly fold: LiveFold
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now: () => number
}

const GRANTS: Pattern = { scope: null, entity: "_grant", id: null }
const MEMBERS: Pattern = { scope: null, entity: "_member", id: null }

/** How much of the answer the asker may have; null: nothing. */
const shownTo = (moment: Moment, { asker, of }: ExplainRequest, on: On | null): Shown | null => {
  if (asker === null || of === userPrincipal(asker)) return "all"
  if (moment.holds(asker, "VIEW", GRANTS) && moment.holds(asker, "VIEW", MEMBERS)) return "all"
  return of === null && on !== null && moment.holds(asker, "SHARE", on.pattern) ? "part" : null
}

export const makeExplain = ({ fold: live, log, now }: Explaining) => {
  const turns = new Turns()
  return async (request: ExplainRequest): Promise<ExplainReply> => {
    const { of, limit = EXPLAIN_PAGE_DEFAULT } = request
    const on = request.on === null ? null : { pattern: request.on, exact: request.exact === true }
    if (of === null && on === null) throw new RequestError({ code: "malformed", message: "neither whose access nor on what", hint: "name a principal, a pattern, or both" })
    const after = request.after === undefined ? "" : Buffer.from(request.after, "base64url").toString()
    const fold = await live.reached(request.at ?? 0)
    const at = Math.max(request.at ?? 0, fold.applied)
    const moment = new Moment(fold, at, now())
    const shown = shownTo(moment, request, on)
    if (shown === null) return { at, level: null, grants: [], holders: [], next: null }
    if (of !== null) {
      const { items, level, next } = grantsOf(moment, of, on, after, limit)
      const grants = await tell(log, at, items.map((given) => ({ given, on, shown })))
      return { at, level, grants, holders: [], next: token(next) }
    }
    const { items, next } = await turns.alone((turn) => holdersOf(moment, on!, shown, after, limit, turn))
    const told = await tell(log, at, items.flatMap(({ given }) => given.map((one) => ({ given: one, on, shown }))))
    let i = 0
    const holders = items.map(({ principal, whole, most, given, more }): Holder => {
      const grants = told.slice(i, (i += given.length))
      return { principal, level: LEVELS[whole] ?? null, most: LEVELS[most]!, grants, more }
    })
    return { at, level: null, grants: [], holders, next: token(next) }
  }
}

const token = (next: string | null): string | null => (next === null ? null : Buffer.from(next).toString("base64url"))

interface Telling {
  readonly given: Given
  readonly on: On | null
  readonly shown: Shown
}

/** The grants with who granted them. */
const tell = async (log: Log, at: number, all: ReadonlyArray<Telling>): Promise<ReadonlyArray<ExplainedGrant>> => {
  const isCut = ({ given: { grant }, on, shown }: Telling): boolean => shown === "part" && on !== null && !covers(on.pattern, grant.fact.pattern)
  const origins = await originsOf(log, at, new Set(all.filter((one) => !isCut(one)).map((one) => one.given.grant.key)))
  return all.map((one) => {
    const { given, on } = one
    const { key, fact } = given.grant
    const cut = isCut(one)
    const { scope, entity, id } = cut ? (on!.exact ? on!.pattern : intersect(fact.pattern, on!.pattern)!) : fact.pattern
    const { grantedBy, grantedAt } = origins.get(key) ?? NO_ORIGIN
    return {
      id: cut ? null : idOf(key),
      principal: fact.principal,
      scope,
      entity,
      entityId: id,
      level: LEVELS[fact.rank]!,
      expiresAt: fact.expiresAt === null ? null : new Date(fact.expiresAt).toISOString(),
      grantedBy: cut ? null : grantedBy,
      grantedAt: cut ? null : grantedAt,
      whole: isWhole(given.grant, on),
      cut,
      paths: given.paths,
    }
  })
}

/** The fold's key is `_grant/<id>`. */
const idOf = (key: string): string => key.slice(key.indexOf("/") + 1)

interface Origin {
  readonly grantedBy: string | null
  readonly grantedAt: string | null
}
const NO_ORIGIN: Origin = { grantedBy: null, grantedAt: null }

const decodeOrigin = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Struct({ granted_by: Schema.NullOr(Schema.String), granted_at: Schema.String })))

/** Who granted these rows and when, as they were at `at`; of one that changed since nothing is said. */
const originsOf = async (log: Log, at: number, keys: ReadonlySet<string>): Promise<ReadonlyMap<string, Origin>> => {
  const origins = new Map<string, Origin>()
  if (keys.size === 0) return origins
  try {
    await log.readState({
      patterns: Array.from(keys, (key) => ({ ...GRANTS, id: idOf(key) })),
      after: 0,
      atLeast: at,
      page: (messages) => {
        for (const { seq, address, body } of messages) {
          if (seq > at) continue
          const row = Result.getOrNull(decodeOrigin(body))
          if (row !== null) origins.set(`_grant/${address.id}`, { grantedBy: row.granted_by, grantedAt: row.granted_at })
        }
      },
    })
  } catch (cause) {
    if (!(cause instanceof LogError)) throw cause
    throw new RequestError({ code: "unavailable", message: cause.message, hint: cause.hint, retryAfter: 1 })
  }
  return origins
}

/** One long walk at a time, and that in slices. */
class Turns {
  #last: Promise<unknown> = Promise.resolve()

  alone<A>(walk: (turn: () => Promise<void> | null) => Promise<A>): Promise<A> {
    const mine = this.#last.then(() => {
      let began = performance.now()
      return walk(() => {
        if (performance.now() - began < EXPLAIN_TURN_MS) return null
        return new Promise<void>((resolve) => setImmediate(resolve)).then(() => void (began = performance.now()))
      })
    })
    this.#last = mine.catch(() => {})
    return mine
  }
}
