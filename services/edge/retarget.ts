/**
 * What a connection must be told when its view changes, for whatever reason: it subscribed, was granted something, lost something,
 * or came back with a cursor. Pure, and the one place where it is decided.
 *
 * A client that stands at position p holds `held` in full as of p. Beside that it may hold some of `partial`: what it was being given
 * when it was interrupted, or was told to forget without our knowing whether it did. It should see `target`.
 *
 * - lost: to forget. What of `held` and `partial` the target does not cover.
 * - gained: to be given as of p. What of the target it does not surely hold; also what it holds but forgets with something lost, for
 *   forgetting is coarse.
 * - kept: what it holds still, as of p.
 *
 * After that it holds the target as of p, and everything after p is the same for all of it.
 */
import type { ViewPattern } from "#protocol/grant.ts"
import { difference, normalise, overlaps } from "#protocol/grant.ts"

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
  const { lost, gained, common } = difference(held, target)
  const alsoLost = partial.length === 0 ? [] : difference(partial, target).lost
  if (alsoLost.length === 0) return { lost, gained, kept: common }
  const allLost = normalise([...lost, ...alsoLost])
  const forgotten = (p: ViewPattern) => alsoLost.some((l) => overlaps(l, p))
  return { lost: allLost, gained: [...gained, ...common.filter(forgotten)], kept: common.filter((p) => !forgotten(p)) }
}
