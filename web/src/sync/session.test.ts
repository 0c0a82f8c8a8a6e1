/** The session's table: total, and cell by cell where a cell matters. */
import { describe, expect, test } from "vitest"
import { CLOSE } from "#protocol/close.ts"
import type { Down } from "#protocol/down.ts"
import { SILENCE_MS } from "#protocol/limits.ts"
import type { Effect, Input, Phase, Session } from "./session.ts"
import { DOUBT_MS, newSession, PHASES, step, TABLE } from "./session.ts"

const ASKED = [{ entityCode: "task" }]
const at = (phase: Phase, more: Partial<Session> = {}): Session => ({ ...newSession("token", ASKED), phase, held: { position: 5, cursor: "c5" }, ...more })
const frame = (frame: Down): Input => ({ type: "frame", frame })
const changes = (from: number, to: number): Down => ({ type: "CHANGES", payload: { from, to, cursor: `c${to}`, changes: [] } })
const dos = (effects: ReadonlyArray<Effect>): ReadonlyArray<string> => effects.map((effect) => (effect.do === "send" ? effect.frame.type : effect.do))

const INPUTS: ReadonlyArray<Input> = [
  { type: "start", held: { position: 1, cursor: "c1" } },
  { type: "stop" },
  { type: "token", token: "next" },
  { type: "asked", asked: [...ASKED, { entityCode: "file" }] },
  { type: "opened" },
  frame(changes(5, 6)),
  { type: "closed", code: 1006, reason: "" },
  { type: "silent" },
  { type: "due" },
  { type: "hurry" },
  { type: "doubt" },
  { type: "failed", held: { position: 1, cursor: "c1" }, reason: "full" },
]

test("every phase answers every input with a phase of the table", () => {
  for (const phase of PHASES) {
    expect(Object.keys(TABLE[phase]).sort()).toEqual(INPUTS.map((input) => input.type).sort())
    for (const input of INPUTS) expect(PHASES).toContain(step(at(phase), input)[0].phase)
  }
})

test("stopped is where every phase ends, with the socket closed", () => {
  for (const phase of PHASES.filter((p) => p !== "stopped")) {
    const [session, effects] = step(at(phase), { type: "stop" })
    expect([session.phase, dos(effects)]).toEqual(["stopped", ["close"]])
  }
})

test("a connection from start to live", () => {
  const steps: ReadonlyArray<readonly [Input, Phase, ReadonlyArray<string>]> = [
    [{ type: "start", held: { position: 5, cursor: "c5" } }, "connecting", ["connect", "watch"]],
    [{ type: "opened" }, "joining", ["AUTH"]],
    [frame({ type: "AUTH_SUCCESS", payload: { userId: "ada", connectionId: "1", expiresAt: "" } }), "catching-up", ["watch", "SUBSCRIBE"]],
    [frame({ type: "SUBSCRIBED", payload: { count: 1 } }), "catching-up", ["watch"]],
    [frame(changes(5, 9)), "catching-up", ["watch", "apply"]],
    [frame({ type: "LIVE", payload: { from: 9, to: 12, cursor: "c12" } }), "live", ["watch", "apply", "PING"]],
    [frame({ type: "PONG", payload: {} }), "live", ["watch", "pong"]],
    [frame(changes(12, 13)), "live", ["watch", "apply"]],
  ]
  let session = newSession("token", ASKED)
  for (const [input, phase, effects] of steps) {
    const [next, did] = step(session, input)
    expect([next.phase, dos(did)]).toEqual([phase, effects])
    session = next
  }
  expect(session.held).toEqual({ position: 13, cursor: "c13" })
})

describe("joining", () => {
  const welcome = frame({ type: "AUTH_SUCCESS", payload: { userId: "ada", connectionId: "1", expiresAt: "" } })
  test("brings the cursor", () => {
    const [, effects] = step(at("joining"), welcome)
    expect(effects).toContainEqual({ do: "send", frame: { type: "SUBSCRIBE", payload: { subscriptions: ASKED, cursor: "c5" } } })
  })
  test("without a cursor drops what is held, and stands at 0", () => {
    const [session, effects] = step(at("joining", { held: { position: 5, cursor: null } }), welcome)
    expect(session.held).toEqual({ position: 0, cursor: null })
    expect(dos(effects)).toEqual(["watch", "forget", "SUBSCRIBE"])
  })
})

describe("a frame that does not begin at the position", () => {
  test.for(["CHANGES", "LIVE", "HEARTBEAT"] as const)("%s is not applied; the cursor asks for the rest", (type) => {
    const [session, effects] = step(at("live"), frame({ type, payload: { from: 6, to: 7, cursor: "c7", changes: [], lagMs: 0 } } as Down))
    expect(session).toMatchObject({ phase: "waiting", held: { position: 5, cursor: "c5" } })
    expect(dos(effects)).toEqual(["close", "wait"])
  })
  test("three times in a row: the cursor itself is doubted", () => {
    let session = at("live")
    for (let i = 0; i < 3; i++) session = { ...step(session, frame(changes(6, 7)))[0], phase: "live" }
    expect(session.held).toEqual({ position: 0, cursor: null })
  })
})

describe("an ending", () => {
  test.for(Object.values(CLOSE))("$code leads where the table of endings says: $next", ({ code, next }) => {
    const [session, effects] = step(at("live"), { type: "closed", code, reason: "" })
    const expected = { "stop": "refused", "sign-in": "signed-out", "now": "waiting", "later": "waiting" } as const
    expect(session.phase).toBe(expected[next])
    expect(effects.filter((effect) => effect.do === "wait")).toMatchObject(session.phase === "waiting" ? [{ next }] : [])
  })
  test("of somebody who was signed out asks for no token and has the device forget, wherever it stood", () => {
    const out = frame({ type: "ERROR", payload: { code: "signed_out", message: "", hint: "" } })
    for (const phase of ["joining", "catching-up", "live"] as const) {
      const [told] = step(at(phase), out)
      expect(told.phase).toBe(phase)
      const [ended, effects] = step(told, { type: "closed", code: 4001, reason: "" })
      expect([ended.phase, ended.token, ended.held.cursor, dos(effects)]).toEqual(["signed-out", null, null, ["dismiss"]])
    }
    // Of a token that was to take the place of this one, which is still good; and an ending that is of the network.
    const [goesOn] = step(step(at("live"), out)[0], frame({ type: "PONG", payload: {} }))
    expect(dos(step(goesOn, { type: "closed", code: 4001, reason: "" })[1])).toEqual(["renew"])
    expect(dos(step(step(at("live"), out)[0], { type: "closed", code: 1006, reason: "" })[1])).toEqual(["close", "wait"])
  })
  test("at the token's end keeps what is held, and asks for another", () => {
    const [ended, effects] = step(at("live"), { type: "closed", code: 4002, reason: "" })
    expect([ended.phase, ended.held.cursor, dos(effects)]).toEqual(["signed-out", "c5", ["renew"]])
  })
  test("a server that refuses its own tokens is not asked for ever", () => {
    let session = at("joining")
    const asked = [1, 2, 3, 4].map(() => {
      const [next, effects] = step(session, { type: "closed", code: 4001, reason: "" })
      session = { ...next, phase: "joining" }
      return dos(effects).includes("renew")
    })
    expect(asked).toEqual([true, true, false, false])
  })
})

test("silence ends a connection; doubt asks first, and waits less long", () => {
  expect(step(at("live"), { type: "silent" })[0].phase).toBe("waiting")
  expect(step(at("live"), { type: "doubt" })[1]).toEqual([{ do: "send", frame: { type: "PING" } }, { do: "watch", ms: DOUBT_MS }])
  expect(step(at("live"), frame(changes(5, 6)))[1]).toContainEqual({ do: "watch", ms: SILENCE_MS })
})

test("what could not be saved is asked for again", () => {
  const [session] = step(at("live", { held: { position: 9, cursor: "c9" } }), { type: "failed", held: { position: 7, cursor: "c7" }, reason: "the disk is full" })
  expect(session).toMatchObject({ phase: "waiting", held: { position: 7, cursor: "c7" }, reason: "the disk is full" })
})

describe("asking for something else", () => {
  const asks = (asked: Session["asked"]) => step(at("live", { asked: [{ entityCode: "task", scopes: ["p1"] }, { entityCode: "note" }] }), { type: "asked", asked })
  test("more: on the same connection", () => {
    const [session, effects] = asks([{ entityCode: "task", scopes: ["p1", "p2"] }, { entityCode: "note" }, { entityCode: "file" }])
    expect(session.phase).toBe("catching-up")
    expect(effects).toEqual([
      { do: "send", frame: { type: "SUBSCRIBE", payload: { subscriptions: [{ entityCode: "task", scopes: ["p1", "p2"] }, { entityCode: "file" }] } } },
    ])
  })
  test("a LIVE that was under way does not speak of it", () => {
    const [asked] = asks([{ entityCode: "task", scopes: ["p1"] }, { entityCode: "note" }, { entityCode: "file" }])
    const live = frame({ type: "LIVE", payload: { from: 5, to: 5, cursor: "c5" } })
    expect(step(asked, live)[0].phase).toBe("catching-up")
    expect(step(step(asked, frame({ type: "SUBSCRIBED", payload: { count: 3 } }))[0], live)[0].phase).toBe("live")
  })
  test("a type less: on the same connection", () => {
    const [session, effects] = asks([{ entityCode: "task", scopes: ["p1"] }])
    expect([session.phase, dos(effects)]).toEqual(["live", ["UNSUBSCRIBE"]])
  })
  test("less of a type: by a new one", () => {
    const [session, effects] = asks([{ entityCode: "task", scopes: [] }, { entityCode: "note" }])
    expect([session.phase, dos(effects)]).toEqual(["connecting", ["close", "connect", "watch"]])
  })
})

test("what is revoked counts as taken away only where it is still asked for", () => {
  const revoked = (entityCode: string) => step(at("live"), frame({ type: "ACCESS_REVOKED", payload: { entityCode } }))[1].find((e) => e.do === "apply")
  expect(revoked("task")).toMatchObject({ letGo: false })
  expect(revoked("file")).toMatchObject({ letGo: true })
})

test("RESET stands at 0", () => {
  expect(step(at("live"), frame({ type: "RESET", payload: { reason: "another epoch" } }))[0]).toMatchObject({ phase: "catching-up", held: { position: 0, cursor: null } })
})

test("frames that this client does not know are passed over", () => {
  expect(step(at("live"), frame({ type: "NEWS" } as unknown as Down))[0].phase).toBe("live")
})

test("what cannot be asked for is given up; what somebody may be granted less of is asked for again", () => {
  const error = (retryAfter?: number) =>
    frame({ type: "ERROR", payload: { code: "too_large", message: "", hint: "", ...(retryAfter === undefined ? {} : { retryAfter }) } })
  expect(step(at("catching-up"), error())[0].phase).toBe("refused")
  const [waiting, effects] = step(at("catching-up"), error(10))
  expect([waiting.phase, effects.find((effect) => effect.do === "wait")]).toMatchObject(["waiting", { next: "later" }])
})
