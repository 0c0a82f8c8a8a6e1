/** The session as a table: what each input does in each phase. Pure, so every cell can be looked at. */
import { describe, expect, it } from "vitest"
import { parseCursor, viewToken } from "#protocol/cursor.ts"
import type { ViewPattern } from "#protocol/grant.ts"
import { Epochs } from "./epochs.ts"
import { PatternSet } from "./pattern-set.ts"
import { retryDelay, step } from "./session.ts"
import type { Effect, Here, Input, Phase, Session } from "./session-state.ts"
import { NEW_SESSION } from "./session-state.ts"

const epochs = new Epochs([{ id: "1-aa", previous: null, firstSeq: 1, reason: "the first", at: "" }])
const here = (position = 0, head = 50): Here => ({ position, head, epochs, isServed: (entity) => entity === "task" || entity === "note", knowsEntities: true })
const pattern = (entity: string, scope: string | null = null, id: string | null = null): ViewPattern => ({ entity, scope, id })
const subscribe = (entityCode: string, over: Record<string, unknown> = {}): Input => ({ type: "SUBSCRIBE", payload: { entityCode, ...over } })
type Over = Partial<Omit<Extract<Input, { type: "resolved" }>, "allowedBefore">> & { readonly allowedBefore?: ReadonlyArray<ReadonlyArray<ViewPattern>> | null }
const resolved = (session: Session, allowed: ReadonlyArray<ViewPattern>, { allowedBefore = null, ...over }: Over = {}): Input => ({
  type: "resolved", ask: session.ask, at: 50, allowed: new PatternSet(allowed), allowedBefore: allowedBefore?.map((one) => new PatternSet(one)) ?? null, first: null, stale: false, ...over,
})
const types = (effects: ReadonlyArray<Effect>) => effects.map((effect) => (effect.type === "send" ? effect.frame.type : effect.type))

/** Goes on from `session` through the inputs; answers the last step. */
const run = (session: Session, inputs: ReadonlyArray<Input | ((session: Session) => Input)>, at: Here = here()) => {
  let last = { session, effects: [] as ReadonlyArray<Effect> }
  for (const input of inputs) last = step(last.session, typeof input === "function" ? input(last.session) : input, at)
  return last
}

const auth: Input = { type: "AUTH", payload: { token: "t" } }
const idle = run(NEW_SESSION, [auth, { type: "signed-in" }]).session
const all = [pattern("task"), pattern("note")]
const live = run(idle, [subscribe("task", { scopes: ["a", "b"] }), (s) => resolved(s, all), { type: "caught-up" }]).session

describe("signing in", () => {
  it("comes first, and frames meanwhile wait", () => {
    expect(run(NEW_SESSION, [subscribe("task")])).toMatchObject({ session: { phase: "closed" }, effects: [{ type: "send" }, { type: "close", why: "unauthorised" }] })
    const checking = run(NEW_SESSION, [auth])
    expect(checking).toMatchObject({ session: { phase: "checking" }, effects: [{ type: "check-token", token: "t" }] })
    expect(run(checking.session, [subscribe("task")]).effects).toMatchObject([{ type: "hold" }])
    expect(run(checking.session, [{ type: "refused", code: "signed_out", message: "", hint: "" }]).session.phase).toBe("closed")
    expect(idle.phase).toBe("idle")
  })
})

describe("a first SUBSCRIBE", () => {
  it("asks as of where the edge is, and what is allowed is caught up from 0", () => {
    const asked = run(idle, [subscribe("task")])
    expect(types(asked.effects)).toEqual(["SUBSCRIBED", "ask"])
    expect(asked.effects[1]).toMatchObject({ at: 50, before: [] })
    const answered = run(asked.session, [(s) => resolved(s, [pattern("task", "a")])])
    expect(answered.effects).toEqual([{ type: "catch-up", view: [pattern("task", "a")], upTo: 50 }])
    expect(answered.session).toMatchObject({ phase: "catching-up", claim: { access: 50, partial: null, view: viewToken([pattern("task")]) } })
    expect(types(run(answered.session, [{ type: "caught-up" }]).effects)).toEqual(["join"])
  })

  it("of what is not tracked is refused; while no table is known yet it is to come back", () => {
    const refusal = (at: Here) => (run(idle, [subscribe("cat")], at).effects[0] as { readonly frame: unknown }).frame
    expect(refusal(here())).toEqual({ type: "ERROR", payload: { code: "not_found", message: '"cat" is not a tracked entity', hint: expect.any(String) } })
    expect(refusal({ ...here(), knowsEntities: false })).toMatchObject({ type: "ERROR", payload: { code: "unavailable", retryAfter: 1 } })
  })

  it("takes further ones into the same question", () => {
    const asked = run(idle, [subscribe("task"), subscribe("note")])
    expect(types(asked.effects)).toEqual(["SUBSCRIBED"])
    expect(run(asked.session, [(s) => resolved(s, all)]).session.target).toEqual([pattern("note"), pattern("task")])
  })

  it("of something that is not tracked changes nothing", () => {
    const refused = run(idle, [{ type: "SUBSCRIBE", payload: { subscriptions: [{ entityCode: "task" }, { entityCode: "nothing" }] } }])
    expect(refused.session).toEqual(idle)
    expect(types(refused.effects)).toEqual(["ERROR"])
  })
})

describe("a cursor", () => {
  const cursor = `1.1-aa.a.${viewToken([pattern("task", "a"), pattern("task", "b")])}`
  const resume = (text: string, at: Here = here()) => run(idle, [subscribe("task", { scopes: ["b", "c"], cursor: text })], at)

  it("places the client, and its view is asked about", () => {
    const { session, effects } = resume(cursor)
    expect(effects).toMatchObject([{ type: "send" }, { type: "place", position: 10 }, { type: "ask", at: 50, before: [10] }])
    const answer = run(session, [(s) => resolved(s, all, { allowedBefore: [all] })], here(10))
    expect(types(answer.effects)).toEqual(["announce", "ACCESS_REVOKED", "give"])
    expect(answer.effects[0]).toMatchObject({ claim: { view: viewToken([pattern("task", "a"), pattern("task", "b")]), access: 10, partial: viewToken([pattern("task", "a"), pattern("task", "c")]) } })
    expect(answer.effects[2]).toEqual({ type: "give", patterns: [pattern("task", "c")], after: 0, upTo: 10 })
    const given = run(answer.session, [{ type: "given" }], here(10))
    expect(given.effects).toEqual([{ type: "catch-up", view: [pattern("task", "b"), pattern("task", "c")], upTo: 50 }])
    expect(given.session.claim).toMatchObject({ partial: null, access: 50 })
  })

  it("that cannot be honoured means starting over", () => {
    const reasons: ReadonlyArray<[string, Over]> = [
      [cursor, { allowedBefore: null }],
      [cursor, { allowedBefore: [all], first: 12 }],
      ["1.1-aa.a.~0123456789abcdef", { allowedBefore: [all] }],
      [`${cursor}*~0123456789abcdef`, { allowedBefore: [all] }],
    ]
    for (const [text, over] of reasons) {
      const { effects, session } = run(resume(text).session, [(s) => resolved(s, all, over)], here(10))
      expect(types(effects)).toEqual(["RESET", "place", "catch-up"])
      expect(session.holding.held).toEqual([pattern("task", "b"), pattern("task", "c")])
    }
    for (const text of ["garbage", "1.other.a.W10", ""]) expect(types(resume(text).effects)).toEqual(["SUBSCRIBED", "RESET", "ask"])
    const beyond = resume(cursor, here(0, 5))
    expect(beyond.effects.at(-1)).toMatchObject({ type: "ask", at: 10 })
    expect(types(run(beyond.session, [(s) => ({ type: "ahead", ask: s.ask })], here(10, 5)).effects)).toEqual(["RESET", "place", "ask"])
  })

  it("names what was being given or taken away: it is given whole, or forgotten, the next time", () => {
    const text = `1.1-aa.a.${viewToken([])}*${viewToken([pattern("task", "b"), pattern("task", "z")])}`
    expect(parseCursor(text)).not.toBeNull()
    const { effects } = run(resume(text).session, [(s) => resolved(s, all, { allowedBefore: [all] })], here(10))
    expect(types(effects)).toEqual(["announce", "ACCESS_REVOKED", "give"])
    expect(effects[2]).toMatchObject({ patterns: [pattern("task", "b"), pattern("task", "c")] })
  })
})

describe("a live connection", () => {
  it("that is touched leaves, and is resolved as of the event", () => {
    const touched = run(live, [{ type: "touched", at: 61 }], here(60, 60))
    expect(touched.effects).toMatchObject([{ type: "leave" }, { type: "ask", at: 61, before: [] }])
    const lost = run(touched.session, [(s) => resolved(s, [pattern("task", "a")], { at: 61 })], here(60, 61))
    expect(types(lost.effects)).toEqual(["announce", "ACCESS_REVOKED", "catch-up"])
    // The announcement claims what was held, but for what is taken away: whoever is cut off in between is told again.
    expect(lost.effects[0]).toMatchObject({ claim: { view: viewToken([pattern("task", "a"), pattern("task", "b")]), access: 50, partial: viewToken([pattern("task", "b")]) } })
    expect(lost.session.claim).toMatchObject({ view: viewToken([pattern("task", "a"), pattern("task", "b")]), access: 61, partial: null })
  })

  it("is asked about again where its access was touched meanwhile, and ignores late answers", () => {
    const touched = run(live, [{ type: "touched", at: 61 }], here(60, 60)).session
    expect(run(touched, [(s) => resolved(s, all, { stale: true })], here(60, 70)).effects).toMatchObject([{ type: "ask", at: 70 }])
    expect(run(touched, [(s) => resolved(s, all, { ask: s.ask - 1 })], here(60, 70)).effects).toEqual([])
  })

  it("is never decided open: without an answer it waits and asks again, later each time", () => {
    let session = run(live, [{ type: "expired" }], here(60, 60)).session
    for (const tries of [1, 2, 3]) {
      const waiting = run(session, [(s) => ({ type: "unresolved", ask: s.ask, code: "unavailable", message: "away", hint: "" })], here(60, 60))
      expect(waiting.effects).toMatchObject([{ type: "send", frame: { payload: { code: "unavailable" } } }, { type: "retry-later", tries }])
      session = run(waiting.session, [{ type: "retry" }], here(60, 60)).session
    }
    expect([1, 2, 3, 50].map(retryDelay)).toEqual([250, 500, 1_000, 10_000])
  })

  it("is told where its user was granted too much, asked about again at the slow end, and goes on when grants have shrunk", () => {
    const { session } = run(live, [{ type: "touched", at: 61 }], here(60, 60))
    const refused = run(session, [(s) => ({ type: "unresolved", ask: s.ask, code: "too_large", message: "too much", hint: "less" })], here(60, 61))
    const [told, retry] = refused.effects
    expect(told).toMatchObject({ type: "send", frame: { payload: { code: "too_large", message: "too much", hint: "less", retryAfter: 10 } } })
    expect(retry?.type === "retry-later" && retryDelay(retry.tries)).toBe(10_000)
    const again = run(refused.session, [{ type: "retry" }, (s) => resolved(s, [pattern("task", "a")], { at: 61 })], here(60, 61))
    expect(types(again.effects)).toEqual(["announce", "ACCESS_REVOKED", "catch-up"])
  })

  it("that is full leaves with nothing but its position, and comes back when it has drained", () => {
    const slow = run(live, [{ type: "full" }], here(60, 60))
    expect(slow).toMatchObject({ session: { phase: "slow" }, effects: [{ type: "leave" }] })
    expect(types(run(slow.session, [{ type: "touched", at: 70 }]).effects)).toEqual([])
    expect(run(slow.session, [{ type: "drained" }], here(60, 99)).effects).toMatchObject([{ type: "ask", at: 99 }])
  })

  it("goes on with what was being given where nothing but time has passed", () => {
    const giving = run(live, [subscribe("note"), (s) => resolved(s, all), { type: "gave", after: 33 }], here(50))
    const again = run(giving.session, [{ type: "full" }, { type: "drained" }, (s) => resolved(s, all)], here(50))
    expect(again.effects.at(-1)).toMatchObject({ type: "give", after: 33, upTo: 50 })
    const other = run(giving.session, [{ type: "touched", at: 51 }, (s) => resolved(s, [pattern("note", "a")])], here(50))
    expect(other.effects.at(-1)).toMatchObject({ type: "give", after: 0 })
  })
})

describe("the table", () => {
  const phases: ReadonlyArray<Phase> = ["hello", "checking", "idle", "resolving", "giving", "catching-up", "live", "slow", "closed"]
  const inputs: ReadonlyArray<Input> = [
    auth, subscribe("task"), { type: "UNSUBSCRIBE", payload: { entityCode: "task" } }, { type: "UNSUBSCRIBE_ALL", payload: undefined },
    { type: "MUTATE", payload: { mutations: [] } }, { type: "PRESENCE", payload: { entityCode: "task", entityId: "a", state: null } },
    { type: "TOKEN_REFRESH", payload: { token: "t" } }, { type: "PING", payload: undefined }, { type: "signed-in" }, { type: "refused", code: "signed_out", message: "", hint: "" },
    resolved(live, all), { type: "unresolved", ask: live.ask, code: "unavailable", message: "", hint: "" }, { type: "ahead", ask: live.ask }, { type: "retry" },
    { type: "unread", message: "", hint: "" }, { type: "gave", after: 1 }, { type: "given" }, { type: "caught-up" }, { type: "behind" },
    { type: "touched", at: 60 }, { type: "expired" }, { type: "full" }, { type: "drained" }, { type: "ended" },
  ]

  it("has an answer for everything, and a closed session does nothing any more", () => {
    for (const phase of phases) {
      for (const input of inputs) {
        const { session, effects } = step({ ...live, phase }, input, here(40))
        const told = types(effects)
        const left = ["resolving", "slow"].includes(session.phase)
        const reads = ["giving", "catching-up"].includes(phase) && !["behind", "unread"].includes(input.type)
        const manners = {
          "goes to a phase": phases.includes(session.phase),
          "does nothing once closed": phase !== "closed" || (effects.length === 0 && session.phase === "closed"),
          "ends": input.type !== "ended" || session.phase === "closed",
          "leaves the index before anything else happens to it": phase !== "live" || !left || told.includes("leave"),
          "calls off what is being read for it": !reads || !left || told.includes("stop"),
        }
        expect(Object.entries(manners).filter(([, kept]) => !kept), `${input.type} in ${phase}`).toEqual([])
      }
    }
  })
})
