/** Patterns against brute force: a small universe of addresses, each asked whether it is matched. */
import { describe, expect, it } from "vitest"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import type { Pattern, ViewPattern } from "./grant.ts"
import { LEVELS, covers, intersect, levelAtLeast, matches, normalise, overlaps, patternKey, viewKeys } from "./grant.ts"
import type { Address } from "./subject.ts"

// The last of each is in no pattern, so "any" is never the same as "all that are named".
const scopes = ["s", "", "other"]
const entities = ["task", "note", "_grant", "else"]
const ids = ["1", "", "9"]
const universe: ReadonlyArray<Address> = [null, ...scopes].flatMap((scope) =>
  entities.flatMap((entity) => ids.map((id) => ({ scope: entity === "_grant" ? null : scope, entity, id }))),
)

const hits = (p: Pattern, a: Address): boolean =>
  (p.scope === null || p.scope === a.scope) && (p.entity === null ? a.entity !== "_grant" : p.entity === a.entity) && (p.id === null || p.id === a.id)
const matched = (patterns: ReadonlyArray<Pattern>): ReadonlyArray<Address> => universe.filter((a) => patterns.some((p) => hits(p, a)))

const any = <A>(random: Random, values: ReadonlyArray<A>): A | null => (random.chance(0.4) ? null : random.pick(values))
const pattern = (random: Random): Pattern => ({
  scope: any(random, scopes.slice(0, 2)),
  entity: any(random, entities.slice(0, 3)),
  id: any(random, ids.slice(0, 2)),
})
const viewPattern = (random: Random): ViewPattern => ({ ...pattern(random), entity: random.pick(["task", "note"]) })

describe("patterns", () => {
  it("hold levels that include those below", () => {
    expect(LEVELS.map((held) => levelAtLeast(held, "SHARE"))).toEqual([false, false, true, true, true, true])
  })

  property("match what they say", 300, (random) => {
    const p = pattern(random)
    for (const a of universe) expect(matches(p, a)).toBe(hits(p, a))
  })

  property("cover, meet and overlap as sets do", 500, (random) => {
    const [a, b] = [pattern(random), pattern(random)]
    const [ma, mb] = [matched([a]), matched([b])]
    // A pattern that no address can match (a scope of the log's own entities) covers in form only.
    if (mb.length > 0) expect(covers(a, b)).toBe(mb.every((x) => ma.includes(x)))
    const both = intersect(a, b)
    expect(both === null ? [] : matched([both])).toEqual(ma.filter((x) => mb.includes(x)))
    if (ma.some((x) => mb.includes(x))) expect(overlaps(a, b)).toBe(true)
  })

  property("normalise to the same set, with nothing covered, whatever the order", 500, (random) => {
    const all = random.list(8, () => pattern(random))
    const kept = normalise(all)
    expect(matched(kept)).toEqual(matched(all))
    for (const a of kept) for (const b of kept) if (a !== b) expect(covers(a, b)).toBe(false)
    expect(normalise(kept)).toEqual(kept)
    expect(normalise(random.shuffle(all))).toEqual(kept)
    expect(kept.map(patternKey)).toEqual(kept.map(patternKey).sort())
  })

  property("are found by the keys of an address", 300, (random) => {
    const p = viewPattern(random)
    for (const a of universe.filter((x) => x.entity !== "_grant")) expect(viewKeys(a).includes(patternKey(p))).toBe(hits(p, a))
  })
})
