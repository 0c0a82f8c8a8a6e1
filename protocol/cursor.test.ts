import { describe, expect, it } from "vitest"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import { formatCursor, parseCursor, parseView, viewToken } from "./cursor.ts"
import type { ViewPattern } from "./grant.ts"
import { normalise } from "./grant.ts"
import { CURSOR_VIEW_BYTES } from "./limits.ts"

const pattern = (random: Random): ViewPattern => ({
  entity: random.pick(["task", "note", "comment"]),
  scope: random.chance(0.5) ? null : random.text(4),
  id: random.chance(0.5) ? null : random.text(4),
})

describe("a view's token", () => {
  property("says the same whatever the order and however often", 500, (random) => {
    const asked = random.list(6, () => pattern(random))
    expect(viewToken(random.shuffle([...asked, ...asked]))).toBe(viewToken(asked))
  })

  property("spells the view out, or is a digest where that is too long", 300, (random) => {
    const asked = random.list(20, () => pattern(random))
    const token = viewToken(asked)
    expect(token.length).toBeLessThanOrEqual(CURSOR_VIEW_BYTES)
    if (token.startsWith("~")) expect(parseView(token)).toBeNull()
    else expect(parseView(token)).toEqual(normalise(asked))
  })

  it("tells long views apart", () => {
    const long = (last: string) => viewToken(Array.from({ length: 500 }, (_, i) => ({ entity: "task", scope: null, id: i === 499 ? last : String(i) })))
    expect(long("x")).toMatch(/^~[0-9a-f]{16}$/)
    expect(long("x")).not.toBe(long("y"))
  })

  it("of strangers is refused, and never throws", () => {
    const spelled = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
    for (const value of [{}, 1, [["task"]], [["Task", null, null]], [["_epoch", null, null]], [["task", 1, null]], [["task", "\uD800", null]], [[null, null, null]]])
      expect(parseView(spelled(value))).toBeNull()
    for (const text of ["!", "a", "~", "{}", "____"]) expect(parseView(text)).toBeNull()
  })
})

describe("a cursor", () => {
  property("survives its own text", 1_000, (random) => {
    const cursor = { epoch: `${random.int(99)}-${random.int(1e6).toString(16)}`, seq: Math.floor(random.next() * Number.MAX_SAFE_INTEGER), view: viewToken(random.list(8, () => pattern(random))) }
    expect(parseCursor(formatCursor(cursor))).toEqual(cursor)
  })

  property("is not what somebody made up", 1_000, (random) => {
    const text = random.text(12)
    if (!text.startsWith("1.")) expect(parseCursor(text)).toBeNull()
  })

  it("has a sequence that a number can hold", () => {
    expect(parseCursor("1.e.zzzzzzzzzzz.")).toBeNull()
    expect(parseCursor("2.e.1.")).toBeNull()
    expect(parseCursor("1.e.1.")).toEqual({ epoch: "e", seq: 1, view: "" })
  })
})
