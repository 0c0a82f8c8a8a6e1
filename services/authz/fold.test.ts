/** The fold against a replay: every event up to the sequence asked about is applied to a plain table, and the table is asked. */
import { describe, expect, it } from "vitest"
import type { Level, Pattern } from "#protocol/grant.ts"
import { LEVELS, covers, matches, normalise } from "#protocol/grant.ts"
import { FOLD_KEPT_FROM, FOLD_KEPT_PATTERNS } from "#protocol/limits.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import type { AclEvent, Fact } from "./acl-event.ts"
import { Fold } from "./fold.ts"

const users = ["ada", "bob", "cyd"]
const roles = ["r1", "r2", "r3"]
const HOUR = 3_600_000

const fact = (random: Random): Fact =>
  random.chance(0.4)
    ? { kind: "member", role: random.pick(roles), member: random.chance(0.5) ? `user:${random.pick(users)}` : `role:${random.pick(roles)}` }
    : {
        kind: "grant",
        principal: random.pick(["everyone", ...users.map((u) => `user:${u}`), ...roles.map((r) => `role:${r}`)]),
        pattern: { scope: random.pick([null, "s", "t"]), entity: random.pick([null, "task", "note"]), id: random.pick([null, null, "1"]) },
        rank: random.int(LEVELS.length),
        expiresAt: random.chance(0.3) ? random.int(10) * HOUR : null,
      }

/** What a table of a few rows goes through: rows come, change, go and come again. */
const history = (random: Random, length: number): ReadonlyArray<AclEvent> => {
  const table = new Map<string, Fact>()
  const events: Array<AclEvent> = []
  let seq = 0
  for (let i = 0; i < length; i++) {
    seq += 1 + random.int(3)
    const key = `k${random.int(12)}`
    const now = table.get(key) ?? null
    const next = now === null ? fact(random) : random.chance(0.6) ? null : random.chance(0.3) ? now : { ...fact(random) }
    const operation = next === null ? "DELETE" : now !== null ? "UPDATE" : random.chance(0.9) ? "INSERT" : "READ"
    events.push({ seq, key, operation, fact: next, before: operation === "UPDATE" || operation === "DELETE" ? now : null })
    if (next === null) table.delete(key)
    else table.set(key, next)
  }
  return events
}

const rowsAt = (events: ReadonlyArray<AclEvent>, seq: number): ReadonlyArray<Fact> => {
  const table = new Map<string, Fact>()
  for (const event of events) {
    if (event.seq > seq) break
    if (event.fact === null) table.delete(event.key)
    else table.set(event.key, event.fact)
  }
  return [...table.values()]
}

const principalsOf = (rows: ReadonlyArray<Fact>, user: string): ReadonlySet<string> => {
  const found = new Set([`user:${user}`, "everyone"])
  for (let before = 0; before < found.size; ) {
    before = found.size
    for (const row of rows) if (row.kind === "member" && found.has(row.member)) found.add(`role:${row.role}`)
  }
  return found
}

const grantsOf = (rows: ReadonlyArray<Fact>, user: string) => {
  const principals = principalsOf(rows, user)
  return rows.filter((row) => row.kind === "grant").filter((grant) => principals.has(grant.principal))
}

const allowedOf = (rows: ReadonlyArray<Fact>, user: string, now: number): ReadonlyArray<Pattern> =>
  normalise(grantsOf(rows, user).filter((g) => g.expiresAt === null || g.expiresAt > now).map((g) => g.pattern))

/**
 * The fold of one who came late: CHANGES begins after `horizon`, STATE has what was left of what came before. It is read while CHANGES is, and
 * of a row that changes later it tells what was before or no more.
 */
const foldFrom = (events: ReadonlyArray<AclEvent>, horizon: number, random: Random): Fold => {
  const fold = new Fold(horizon)
  const late = events.filter((event) => event.seq > horizon)
  const older = new Map(events.filter((event) => event.seq <= horizon).map((event) => [event.key, event]))
  const middle = random.int(late.length + 1)
  for (const event of late.slice(0, middle)) fold.apply(event)
  for (const event of older.values()) if (!late.some(({ key }) => key === event.key) || random.chance(0.5)) fold.base({ ...event, before: null })
  for (const event of late.slice(middle)) fold.apply(event)
  return fold
}

const forget = (fold: Fold, horizon: number): void => {
  for (const _ of fold.forget(horizon));
}

describe("the fold", () => {
  property("answers as of every sequence since its horizon as a replay does", 400, (random) => {
    const events = history(random, 60)
    const last = events.at(-1)!.seq
    const fold = foldFrom(events, random.chance(0.3) ? 0 : random.int(last + 1), random)
    if (random.chance(0.5)) forget(fold, fold.horizon + random.int(last - fold.horizon + 1))
    const now = random.int(11) * HOUR - 1
    for (let seq = fold.horizon; seq <= last; seq++) {
      const rows = rowsAt(events, seq)
      for (const user of users) {
        const view = fold.view(user, seq, now)
        expect(view.allowed).toEqual(allowedOf(rows, user, now))
        expect(new Set(view.principals)).toEqual(principalsOf(rows, user))
        const ends = grantsOf(rows, user).flatMap((g) => (g.expiresAt !== null && g.expiresAt > now ? [g.expiresAt] : []))
        expect(view.expiresAt).toBe(ends.length === 0 ? null : Math.min(...ends))
      }
    }
    expect(fold.size).toBe(rowsAt(events, last).length)
  })

  property("says whether a user may, by the newest rows", 300, (random) => {
    const events = history(random, 40)
    const fold = foldFrom(events, 0, random)
    const rows = rowsAt(events, Number.MAX_SAFE_INTEGER)
    const now = random.int(11) * HOUR - 1
    for (let i = 0; i < 20; i++) {
      const [user, level]: [string, Level] = [random.pick(users), random.pick(LEVELS)]
      const at = { scope: random.pick([null, "s", "t"]), entity: random.pick(["task", "note", "_grant"]), id: random.pick(["1", "2"]) }
      const may = grantsOf(rows, user).some((g) => g.rank >= LEVELS.indexOf(level) && (g.expiresAt === null || g.expiresAt > now) && matches(g.pattern, at))
      expect(fold.may(user, level, at, now)).toBe(may)
    }
  })

  property("knows what a client holds only where every clock would have told it the same", 400, (random) => {
    const events = history(random, 40)
    const last = events.at(-1)!.seq
    const fold = foldFrom(events, 0, random)
    const now = random.int(11) * HOUR
    const [user, seq] = [random.pick(users), random.int(last + 1)]
    const held = fold.heldAt(user, seq, now)
    const rows = rowsAt(events, seq)
    if (held === null) {
      const sure = allowedOf(rows, user, now + 30_000)
      expect(grantsOf(rows, user).some((g) => !sure.some((wide) => covers(wide, g.pattern)))).toBe(true)
    } else for (let time = 0; time <= now; time += HOUR / 2) expect(held).toEqual(allowedOf(rows, user, time))
  })

  property("keeps what many grants come to only for as long as it is so", 20, (random) => {
    const fold = new Fold(0)
    const done: Array<AclEvent> = []
    const many = Array.from({ length: FOLD_KEPT_FROM + 20 }, (_, i): AclEvent => {
      const expiresAt = random.chance(0.02) ? random.int(10) * HOUR : null
      const pattern = { scope: "s", entity: "task", id: `many-${i}` }
      return { seq: i + 1, key: `many${i}`, operation: "INSERT", fact: { kind: "grant", principal: i < FOLD_KEPT_FROM ? "everyone" : "role:r1", pattern, rank: 0, expiresAt }, before: null }
    })
    const answered = new Set<unknown>()
    let kept = 0
    for (const event of [...many, ...history(random, 40).map((one) => ({ ...one, seq: one.seq + many.length }))]) {
      fold.apply(event)
      done.push(event)
      if (done.length < many.length) continue
      if (random.chance(0.05)) forget(fold, fold.horizon + random.int(event.seq - fold.horizon + 1))
      for (let i = 0; i < 4; i++) {
        const user = random.pick(users)
        const seq = random.chance(0.6) ? event.seq : fold.horizon + random.int(event.seq - fold.horizon + 1)
        // Clocks go back as well, and past what makes an expiry doubtful.
        const now = (random.chance(0.7) ? Math.floor(event.seq / 30) : random.int(10)) * HOUR + random.pick([-1, 0, -10_000, 10_000])
        const replayed = new Fold(0)
        for (const one of done) replayed.apply(one)
        const rows = rowsAt(done, seq)
        const view = fold.view(user, seq, now)
        expect(view.allowed).toEqual(allowedOf(rows, user, now))
        expect(view.expiresAt).toBe(grantsOf(rows, user).reduce<number | null>((first, g) => (g.expiresAt === null || g.expiresAt <= now || (first !== null && first <= g.expiresAt) ? first : g.expiresAt), null))
        expect(fold.heldAt(user, seq, now)).toEqual(replayed.heldAt(user, seq, now))
        if (answered.has(view.allowed)) kept += 1
        answered.add(view.allowed)
      }
    }
    expect(kept, "questions that were answered with what was kept").toBeGreaterThan(0)
  })

  it("keeps no more than it should, and what was asked for last", () => {
    const fold = new Fold(0)
    const each = FOLD_KEPT_PATTERNS / 10
    const principals = [...Array.from({ length: each - 1 }, () => "everyone"), ...Array.from({ length: 11 }, (_, user) => `user:u${user}`)]
    for (const [i, principal] of principals.entries())
      fold.apply({ seq: i + 1, key: `g${i}`, operation: "INSERT", fact: { kind: "grant", principal, pattern: { scope: "s", entity: "task", id: String(i) }, rank: 0, expiresAt: null }, before: null })
    const ask = (user: number) => fold.view(`u${user}`, principals.length, 0).allowed
    const first = Array.from({ length: 10 }, (_, user) => ask(user))
    expect(ask(0)).toBe(first[0])
    ask(10)
    expect(ask(0)).toBe(first[0])
    expect(ask(1)).not.toBe(first[1])
  })

  it("does not know what was before its horizon", () => {
    const fold = new Fold(10)
    expect(fold.heldAt("ada", 9, 0)).toBeNull()
    expect(fold.heldAt("ada", 10, 0)).toEqual([])
  })

  it("takes what stood before the first known event from the event itself", () => {
    const grant = (rank: number): Fact => ({ kind: "grant", principal: "user:ada", pattern: { scope: "s", entity: null, id: null }, rank, expiresAt: null })
    const fold = new Fold(10)
    fold.apply({ seq: 20, key: "g", operation: "DELETE", fact: null, before: grant(0) })
    expect(fold.heldAt("ada", 19, 0)).toEqual([{ scope: "s", entity: null, id: null }])
    expect(fold.heldAt("ada", 20, 0)).toEqual([])
    fold.apply({ seq: 30, key: "g", operation: "INSERT", fact: grant(1), before: null })
    expect([15, 25, 30].map((seq) => fold.heldAt("ada", seq, 0)?.length)).toEqual([1, 0, 1])
  })

  it("does not know whether a client was told of an expiry that was renewed afterwards", () => {
    const grant = (expiresAt: number): Fact => ({ kind: "grant", principal: "user:ada", pattern: { scope: "s", entity: null, id: null }, rank: 0, expiresAt })
    const fold = new Fold(0)
    fold.apply({ seq: 1, key: "g", operation: "INSERT", fact: grant(HOUR), before: null })
    fold.apply({ seq: 9, key: "g", operation: "UPDATE", fact: grant(9 * HOUR), before: grant(HOUR) })
    expect(fold.heldAt("ada", 5, HOUR / 2)).toHaveLength(1)
    expect(fold.heldAt("ada", 5, 2 * HOUR)).toBeNull()
    expect(fold.heldAt("ada", 9, 2 * HOUR)).toHaveLength(1)
  })

  it("lives with roles that are members of each other and of themselves", () => {
    const fold = new Fold(0)
    const members = [["r1", "user:ada"], ["r2", "role:r1"], ["r1", "role:r2"], ["r2", "role:r2"]] as const
    members.forEach(([role, member], i) => fold.apply({ seq: i + 1, key: `m${i}`, operation: "INSERT", fact: { kind: "member", role, member }, before: null }))
    expect(fold.principals("ada", 4)).toEqual(["user:ada", "everyone", "role:r1", "role:r2"])
  })
})
