/**
 * Why somebody may do something: which grants give it, through which roles, who granted them (protocol/explain.ts says who may ask what).
 * Asked for by people, so it may cost more than a connection's question, but never makes one of those wait: whoever goes through all grants
 * stops every few milliseconds, and one at a time does.
 *
 * The fold decides. Who granted a row, and when, it does not keep: with 100,000 grants that would be some 10 MB of texts in each process for
 * what nothing is decided by. It is read from STATE for the rows of one page. A row that has changed again since is told without.
 */
import { userPrincipal } from "#protocol/acl.ts"
import type { ExplainedGrant, ExplainReply, ExplainRequest, Holder } from "#protocol/explain.ts"
import type { Pattern } from "#protocol/grant.ts"
import { covers, intersect, LEVELS } from "#protocol/grant.ts"
import { EXPLAIN_PAGE_DEFAULT } from "#protocol/limits.ts"
import { RequestError } from "#protocol/request.ts"
import type { Log } from "#nats/log.ts"
import { grantsOf } from "./held-grants.ts"
import type { Shown } from "./holders.ts"
import { holdersOf } from "./holders.ts"
import type { LiveFold } from "./live-fold.ts"
import type { Given, On } from "./moment.ts"
import { isWhole, Moment } from "./moment.ts"
import { idOf, NO_ORIGIN, originsOf } from "./origins.ts"
import { Turns } from "./turns.ts"

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
