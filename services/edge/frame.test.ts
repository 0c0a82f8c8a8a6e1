/** Whatever bytes come, a frame is read or refused by a code; never anything else. */
import { Result } from "effect"
import { describe, expect, it } from "vitest"
import { ERROR_CODES } from "#protocol/down.ts"
import { property } from "#test/support/random.ts"
import { decodeUp } from "./frame.ts"

const valid: ReadonlyArray<unknown> = [
  { type: "AUTH", payload: { token: "t" } },
  { type: "SUBSCRIBE", payload: { entityCode: "task", entityIds: ["a"], scopes: ["p"], mode: "data", cursor: "c" } },
  { type: "SUBSCRIBE", payload: { subscriptions: [{ entityCode: "task" }, { entityCode: "note", scopes: [] }] } },
  { type: "UNSUBSCRIBE", payload: { entityCode: "task" } },
  { type: "UNSUBSCRIBE_ALL" },
  { type: "MUTATE", payload: { mutations: [{ id: "m", entityCode: "task", entityId: "a", op: "update", base: { x: 1 }, data: { x: [null, { y: "z" }] } }] } },
  { type: "PRESENCE", payload: { entityCode: "task", entityId: "a", state: null } },
  { type: "TOKEN_REFRESH", payload: { token: "t" } },
  { type: "PING", payload: {} },
]

describe("decodeUp", () => {
  it("reads every frame of the protocol", () => {
    for (const frame of valid) expect(decodeUp(JSON.stringify(frame))).toMatchObject({ success: frame })
  })

  it("tells an unknown type from a malformed frame, and says what is wrong", () => {
    const code = (text: string) => Result.match(decodeUp(text), { onFailure: (bad) => bad.code, onSuccess: () => "read" })
    expect(code('{"type":"SHOUT"}')).toBe("unknown_type")
    expect(code('{"type":"__proto__"}')).toBe("unknown_type")
    for (const text of ["", "null", "7", "[]", "{}", '{"type":7}', '{"type":"AUTH"}', '{"type":"AUTH","payload":{"token":""}}', "{".repeat(100_000)]) expect(code(text)).toBe("malformed")
    expect(decodeUp('{"type":"SUBSCRIBE","payload":{"entityCode":7}}')).toMatchObject({ failure: { message: expect.stringContaining("entityCode") } })
  })

  property("refuses random bytes and mutated frames with a code", 3_000, (random) => {
    let text = JSON.stringify(random.pick(valid))
    if (random.chance(0.2)) text = Buffer.from(Array.from({ length: random.int(60) }, () => random.int(256))).toString("utf8")
    else {
      for (let i = random.int(4); i >= 0; i--) {
        const at = random.int(text.length + 1)
        const cut = random.int(5)
        text = text.slice(0, at) + random.pick(["", '"', "{", "}", "[", "]", ",", ":", "null", "1e999", "\\u0000", "\\uD800", random.text(3)]) + text.slice(at + cut)
      }
    }
    const decoded = decodeUp(text)
    const refusal = Result.match(decoded, { onSuccess: () => null, onFailure: (bad) => bad })
    expect(refusal === null || (ERROR_CODES.includes(refusal.code) && refusal.message.length < 400 && refusal.hint !== "")).toBe(true)
  })
})
