/**
 * Everybody who holds something on a pattern: a page of principals by name, each with the strongest of what it holds. For explain.ts. It goes through all
 * grants and memberships, so it stops whenever its turn is over.
 */
import { rolePrincipal } from "#protocol/acl.ts"
import { EXPLAIN_HOLDER_GRANTS } from "#protocol/limits.ts"
import type { GrantInterval } from "./fold.ts"
import { Least } from "./least.ts"
import type { Given, Moment, On, Page } from "./moment.ts"
import { gives, grantOrder, isWhole } from "./moment.ts"
import type { Turn } from "./turns.ts"

/** Strangers to a grant that reaches beyond what they asked about are shown the part they asked about. */
export type Shown = "all" | "part"

export interface Found {
  readonly principal: string
  readonly whole: number
  readonly most: number
  readonly given: ReadonlyArray<Given>
  readonly more: boolean
}

/** What one principal's own grants give. */
interface Direct {
  whole: number
  most: number
  count: number
  /** The strongest. */
  readonly strongest: Array<GrantInterval>
}

export const holdersOf = async (moment: Moment, on: On, shown: Shown, after: string, limit: number, turn: Turn): Promise<Page<Found>> => {
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
