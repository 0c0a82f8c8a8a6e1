/** What a client may ask for, who may ask, how often, and what an old position is worth. */
import { Result } from "effect"
import { describe, expect, it } from "vitest"
import type { ViewPattern } from "#protocol/grant.ts"
import { matches, normalise } from "#protocol/grant.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import { EPOCH_SETTLES_MS } from "#protocol/limits.ts"
import { Epochs } from "./epochs.ts"
import { isAllowed, parseOrigins } from "./origins.ts"
import { Rate } from "./rate.ts"
import { retarget } from "./retarget.ts"
import { NO_SUBSCRIPTIONS, subscribe, unsubscribe } from "./subscriptions.ts"
import { Touches } from "./touches.ts"
import type { LogMessage } from "#nats/log.ts"

const tracked = (entity: string) => entity === "task" || entity === "note"
const taken = (payload: Parameters<typeof subscribe>[1], before = NO_SUBSCRIPTIONS) => Result.getOrThrow(subscribe(before, payload, tracked))

describe("subscriptions", () => {
  it("come to patterns, each once", () => {
    const some = taken({ subscriptions: [{ entityCode: "task", scopes: ["a", "b"], entityIds: ["1"] }, { entityCode: "note" }], entityCode: "note" })
    expect(some.list).toHaveLength(2)
    expect(some.asked).toHaveLength(3)
    expect(taken({ entityCode: "task" }, some).asked.map(({ entity, scope, id }) => [entity, scope, id])).toEqual([["note", null, null], ["task", null, null]])
    expect(taken({ entityCode: "task", scopes: [] }).asked).toEqual([])
  })

  it("are taken back by type or by id", () => {
    const some = taken({ subscriptions: [{ entityCode: "task", entityIds: ["1", "2"] }, { entityCode: "note" }] })
    expect(unsubscribe(some, "task", ["1"]).asked.map((p) => p.id)).toEqual([null, "2"])
    expect(unsubscribe(some, "task", ["1", "2"]).list).toHaveLength(1)
    expect(unsubscribe(some, "note", ["1"]).list).toHaveLength(2)
    expect(unsubscribe(some, "task", undefined).list).toHaveLength(1)
  })

  it("are refused with a reason", () => {
    const code = (payload: Parameters<typeof subscribe>[1]) => Result.match(subscribe(NO_SUBSCRIPTIONS, payload, tracked), { onFailure: (bad) => bad.code, onSuccess: () => "taken" })
    expect(code({})).toBe("malformed")
    expect(code({ entityCode: "_epoch" })).toBe("not_found")
    expect(code({ entityCode: "task", entityIds: ["a\0"] })).toBe("malformed")
    expect(code({ subscriptions: Array.from({ length: 101 }, (_, i) => ({ entityCode: "task", scopes: [String(i)] })) })).toBe("too_large")
  })
})

describe("retarget", () => {
  const scopes = ["a", "b"] as const
  const ids = ["1", "2"] as const
  const pattern = (random: Random): ViewPattern => ({ entity: "task", scope: random.chance(0.5) ? random.pick(scopes) : null, id: random.chance(0.5) ? random.pick(ids) : null })
  const addresses = scopes.flatMap((scope) => ids.map((id) => ({ entity: "task", scope, id })))
  const sees = (view: ReadonlyArray<ViewPattern>, at: (typeof addresses)[number]) => view.some((one) => matches(one, at))

  property("leaves the client with exactly its target, whatever of the partial it holds", 1_000, (random) => {
    const held = normalise(random.list(4, () => pattern(random)))
    const partial = normalise(random.list(3, () => pattern(random)))
    const target = normalise(random.list(4, () => pattern(random)))
    const { lost, gained, kept } = retarget({ held, partial }, target)
    const holds = new Set(addresses.filter((at) => (sees(partial, at) ? random.chance(0.5) : sees(held, at))))
    for (const at of holds) if (sees(lost, at)) holds.delete(at)
    // What is kept is held in full but for what is given, and that comes whole: nothing of the target may be held by chance.
    for (const at of addresses) if (sees(kept, at) && !sees(gained, at)) expect(holds.has(at)).toBe(true)
    for (const at of addresses) if (sees(gained, at)) holds.add(at)
    // ACCESS_REVOKED says a type, and an id or a scope, not both.
    for (const one of lost) expect(one.id === null || one.scope === null).toBe(true)
    expect(new Set(holds)).toEqual(new Set(addresses.filter((at) => sees(target, at))))
    for (const at of addresses) expect(sees(gained, at) || sees(kept, at)).toBe(sees(target, at))
  })

  property("gives nothing where nothing differs, and of a scope that is kept no more than was forgotten with an id", 200, (random) => {
    const same = normalise(random.list(4, () => pattern(random)))
    expect(retarget({ held: same, partial: [] }, same)).toEqual({ lost: [], gained: [], kept: same })
    const scope: ViewPattern = { entity: "task", scope: "a", id: null }
    expect(retarget({ held: [scope, { entity: "task", scope: "b", id: "1" }], partial: [] }, [scope])).toEqual({
      lost: [{ entity: "task", scope: null, id: "1" }], gained: [{ entity: "task", scope: "a", id: "1" }], kept: [scope],
    })
  })
})

describe("retarget, of many that are lost", () => {
  const ids = (scope: string | null, from: number, count: number): ReadonlyArray<ViewPattern> => Array.from({ length: count }, (_, i) => ({ entity: "task", scope, id: String(from + i) }))
  const note: ViewPattern = { entity: "note", scope: null, id: null }
  const whole = (scope: string | null): ViewPattern => ({ entity: "task", scope, id: null })
  const change = (held: ReadonlyArray<ViewPattern>, target: ReadonlyArray<ViewPattern>) => {
    const { lost, gained } = retarget({ held: normalise(held), partial: [] }, normalise(target))
    return { lost, gained }
  }

  it("says the type where nothing of it is left, and gives nothing again", () => {
    expect(change([...ids("a", 0, 500), ...ids(null, 500, 500), whole("c"), note], [note])).toEqual({ lost: [whole(null)], gained: [] })
  })

  it("says the scope where nothing in it is left, and the entities where something is", () => {
    expect(change([...ids("a", 0, 500), ...ids("b", 500, 5)], ids("b", 503, 2))).toEqual({ lost: [...ids(null, 500, 3), whole("a")], gained: [] })
  })

  it("says the entities where others of the type may be in the scope, and one alone as it is", () => {
    expect(change([...ids("a", 0, 3), ...ids(null, 7, 1)], ids(null, 7, 1))).toEqual({ lost: ids(null, 0, 3), gained: [] })
    expect(change([...ids("a", 0, 1), note], [note])).toEqual({ lost: ids(null, 0, 1), gained: [] })
  })

  property("forgets with what is taken away no more than what is given again", 500, (random) => {
    const entities = random.list(12, () => ids(random.pick(["a", "b", "c", null]), random.int(4), 1)[0]!)
    const held = normalise(entities)
    const target = held.filter(() => random.chance(0.3))
    const { lost, gained } = change(held, target)
    // Only an id that is in a second scope too comes again, as it did before: a scope or a type that is forgotten whole costs nothing.
    for (const wide of lost.filter(({ id }) => id === null)) expect(target.some((one) => one.scope === null ? wide.entity === one.entity : wide.scope === null || wide.scope === one.scope)).toBe(false)
    for (const again of gained) expect(lost.some(({ id }) => id === again.id)).toBe(true)
  })
})

describe("epochs", () => {
  const epoch = (id: string, firstSeq: number) => ({ id, previous: null, firstSeq, reason: "lost", at: "" })
  const epochs = new Epochs([epoch("1-a", 1), epoch("2-b", 100), epoch("3-c", 50)])

  it("honour an old position where nothing up to it was lost since", () => {
    expect(epochs.problem("3-c", 9_999)).toBeNull()
    expect(epochs.problem("1-a", 49)).toBeNull()
    expect(epochs.problem("1-a", 50)).toContain("lost")
    expect(epochs.problem("1-a", 120)).toContain("lost")
    expect(epochs.problem("2-b", 49)).toBeNull()
    expect(epochs.problem("0-z", 1)).toContain("not know")
  })

  it("settle for a while, where one follows another: what was in the log may be missing still", () => {
    const at = "2026-01-01T00:00:00.000Z"
    const began = Date.parse(at)
    const again = new Epochs([epoch("1-a", 1), { ...epoch("2-b", 100), previous: "1-a", at }])
    expect([again.settling(began), again.settling(began + EPOCH_SETTLES_MS - 1), again.settling(began + EPOCH_SETTLES_MS)]).toEqual([true, true, false])
    expect(new Epochs([{ ...epoch("1-a", 1), at }]).settling(began)).toBe(false)
  })
})

describe("the rate", () => {
  it("allows a burst, then so many a second, and ends with who does not heed it", () => {
    const rate = new Rate({ perSecond: 10, burst: 20 }, 0)
    const verdicts = (count: number, now: number) => Array.from({ length: count }, () => rate.take(now).type)
    expect(verdicts(21, 0)).toEqual([...Array.from({ length: 20 }, () => "pass"), "wait"])
    expect(verdicts(6, 500)).toEqual(["pass", "pass", "pass", "pass", "pass", "wait"])
    expect(rate.take(500)).toEqual({ type: "wait", tell: false, retryAfter: 1 })
    expect(verdicts(30, 500)).toContain("close")
  })
})

describe("origins", () => {
  it("are those of the same host, or those that are named", () => {
    const same = parseOrigins(null)!
    expect(isAllowed(same, undefined, "edge:4001")).toBe(true)
    expect(isAllowed(same, "http://localhost:8080", "127.0.0.1:4001")).toBe(true)
    expect(isAllowed(same, "https://app.example.com", "app.example.com")).toBe(true)
    for (const origin of ["https://evil.example", "null", "", "file://", "http://localhost.evil.example"]) expect(isAllowed(same, origin, "127.0.0.1:4001")).toBe(false)
    const named = parseOrigins("https://a.example, http://b.example:1")!
    expect(isAllowed(named, "http://b.example:1", "x")).toBe(true)
    expect(isAllowed(named, "http://localhost", "localhost")).toBe(false)
    for (const bad of ["", "a.example", "https://a.example/path", "*"]) expect(parseOrigins(bad)).toBeNull()
  })
})

describe("touches", () => {
  const acl = (entity: string, body: unknown, before: unknown, operation: LogMessage["operation"]): LogMessage =>
    ({ address: { scope: null, entity, id: "x" }, operation, body: body === null ? "" : JSON.stringify(body), before: before === null ? null : JSON.stringify(before) }) as LogMessage
  const grant = (principal: string) => ({ id: "x", principal, scope: null, entity: null, entity_id: null, level: "VIEW", expires_at: null })

  it("reach those whom an access event names, before or after it, and nobody else", () => {
    const touches = new Touches<string>(0)
    touches.register("ada", ["user:ada", "everyone", "role:x"], [])
    touches.register("bob", ["user:bob", "everyone"], [])
    const note = (end: number, message: LogMessage) => [...touches.note(end, [message])].sort()
    expect(note(1, acl("_grant", grant("role:x"), null, "INSERT"))).toEqual(["ada"])
    expect(note(2, acl("_grant", grant("user:bob"), grant("user:ada"), "UPDATE"))).toEqual(["ada", "bob"])
    expect(note(3, acl("_member", null, { role: "r", member: "user:bob" }, "DELETE"))).toEqual(["bob"])
    expect(note(4, acl("_grant", grant("user:zoe"), null, "INSERT"))).toEqual([])
    // What cannot be read, or does not say what was before, may be anybody's.
    expect(note(5, acl("_grant", null, null, "DELETE"))).toEqual(["ada", "bob"])
    expect(note(6, acl("_member", { nonsense: 1 }, null, "INSERT"))).toEqual(["ada", "bob"])
    touches.forget("ada", ["user:ada", "everyone", "role:x"])
    expect(note(7, acl("_grant", grant("everyone"), null, "INSERT"))).toEqual(["bob"])
    expect([touches.since(7, ["user:bob"]), touches.since(6, ["user:bob"]), touches.since(6, ["everyone"])]).toEqual([false, false, true])
    touches.trim(6)
    expect([touches.since(5, ["user:zoe"]), touches.since(6, ["everyone"])]).toEqual([true, true])
  })
})
