import { describe, expect, it } from "vitest"
import { property } from "#test/support/random.ts"
import { advance, beginning, formatCursor, parseCursor, windowDone } from "./cursor.ts"
import { NOTHING_SEEN, parseSnapshot, sees } from "./snapshot.ts"

describe("a cursor", () => {
  property("comes back from its header as it went", 200, (random) => {
    const xmin = random.int(1_000_000)
    const running = Array.from({ length: random.int(5) }, (_, i) => xmin + i)
    const snapshot = `${xmin}:${xmin + 10}:${running.join(",")}`
    const cursor = advance(beginning("3-ab12", "7301234567890123456"), snapshot, random.int(1e9), random.int(1e9))
    expect(parseCursor(formatCursor(cursor))).toEqual(cursor)
    const done = windowDone(cursor, snapshot)
    expect(parseCursor(formatCursor(done))).toEqual({ ...cursor, last: snapshot, window: null, tx: 0, id: 0 })
    expect(formatCursor(cursor)).not.toMatch(/[\r\n]/)
  })

  it("is not read from what is none", () => {
    for (const text of ["", "{}", "null", "x", `{"epoch":"1","system":"s","last":"1:1","window":null,"tx":0,"id":0}`]) expect(parseCursor(text)).toBeNull()
  })
})

describe("a snapshot", () => {
  it("sees what had ended", () => {
    const snapshot = parseSnapshot("10:20:10,14")!
    expect([9n, 10n, 11n, 14n, 19n, 20n].map((xid) => sees(snapshot, xid))).toEqual([true, false, true, false, true, false])
    expect(sees(parseSnapshot(NOTHING_SEEN)!, 3n)).toBe(false)
    expect(parseSnapshot("10:20")).toBeNull()
  })
})
