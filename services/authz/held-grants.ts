/** One principal's grants: a page of them, with the ways to each, and the level they come to. For explain.ts. */
import { EVERYONE } from "#protocol/acl.ts"
import type { Level } from "#protocol/grant.ts"
import { LEVELS } from "#protocol/grant.ts"
import type { Given, Moment, On, Page } from "./moment.ts"
import { gives, grantOrder, isWhole } from "./moment.ts"

export const grantsOf = (moment: Moment, of: string, on: On | null, after: string, limit: number): Page<Given> & { readonly level: Level | null } => {
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
