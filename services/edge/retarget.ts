/**
 * What a connection must be told when its view changes, for whatever reason: it subscribed, was granted something, lost something,
 * or came back with a cursor. Pure, and the one place where it is decided; the cost is linear in the patterns.
 *
 * A client that stands at position p holds `held` in full as of p, but for what `partial` names: of that it may hold some, in no certain
 * state, because it was being given it when it was interrupted, or was told to forget it without our knowing whether it did. It should
 * see `target`.
 *
 * - lost: to forget. What of `held` and `partial` the target does not cover. A pattern of a scope and an id is widened to the id, which is
 *   what ACCESS_REVOKED can say; several of a type, or of a scope, of which nothing is in the target, to the type, or the scope: one frame says as much.
 * - gained: to be given as of p. What of the target it does not hold, what `partial` names of it, and what it forgets with something lost, for
 *   forgetting is coarse and giving is exact.
 * - kept: what it holds still, as of p, but for what is gained.
 *
 * After that it holds the target as of p, and everything after p is the same for all of it.
 */
import type { ViewPattern } from "#protocol/grant.ts"
import { forgets, normalise, patternKey } from "#protocol/grant.ts"
import { VIEW_PATTERNS } from "#protocol/limits.ts"
import { PatternSet } from "./pattern-set.ts"

export interface Holding {
  readonly held: ReadonlyArray<ViewPattern>
  readonly partial: ReadonlyArray<ViewPattern>
}

export interface Retarget {
  readonly lost: ReadonlyArray<ViewPattern>
  readonly gained: ReadonlyArray<ViewPattern>
  readonly kept: ReadonlyArray<ViewPattern>
}

export const NOTHING: Holding = { held: [], partial: [] }

export const retarget = ({ held, partial }: Holding, target: ReadonlyArray<ViewPattern>): Retarget => {
  const wanted = new PatternSet(target)
  const had = new PatternSet(held)
  const lost = coarse([...held, ...partial].filter((p) => !wanted.covers(p)), target)
  const unsure = lost.length === 0 ? partial : [...lost, ...partial]
  const kept = target.filter((p) => had.covers(p))
  const fresh = target.filter((p) => !had.covers(p))
  if (unsure.length === 0) return { lost, gained: fresh, kept }
  // Where ids and scopes come to very many pairs, what overlaps is given whole.
  const again = wanted.cut(unsure, VIEW_PATTERNS) ?? overlapping(kept, new PatternSet(unsure))
  const gained = normalise([...fresh, ...again])
  const given = new PatternSet(gained)
  return { lost, gained, kept: kept.filter((p) => !given.covers(p)) }
}

/** What makes a client forget these and nothing that the target has, in few patterns. */
const coarse = (lost: ReadonlyArray<ViewPattern>, target: ReadonlyArray<ViewPattern>): ReadonlyArray<ViewPattern> => {
  if (lost.length < 2) return lost.map(forgets)
  const types = new Set<string>()
  const scopes = new Set<string>()
  const anyScope = new Set<string>()
  for (const p of target) {
    types.add(p.entity)
    if (p.scope === null) anyScope.add(p.entity)
    else scopes.add(patternKey({ ...p, id: null }))
  }
  const groups = new Map<string, { readonly whole: ViewPattern; readonly of: Array<ViewPattern> }>()
  const exact: Array<ViewPattern> = []
  for (const p of lost) {
    const whole = { ...p, scope: types.has(p.entity) ? p.scope : null, id: null }
    const key = patternKey(whole)
    const spared = types.has(p.entity) && (p.scope === null || anyScope.has(p.entity) || scopes.has(key))
    const group = groups.get(key)
    if (spared) exact.push(forgets(p))
    else if (group === undefined) groups.set(key, { whole, of: [p] })
    else group.of.push(p)
  }
  // One alone is said as it is: whoever is told hears what it was.
  return normalise([...exact, ...[...groups.values()].flatMap(({ whole, of }) => (of.length === 1 ? of.map(forgets) : [whole]))])
}

const overlapping = (view: ReadonlyArray<ViewPattern>, others: PatternSet): ReadonlyArray<ViewPattern> => view.filter((p) => others.overlaps(p))
