import { describe, expect, it } from "vitest"
import { property } from "#test/support/random.ts"
import { advance, beginning, claimed, formatCursor, highestOf, parseCursor, windowDone } from "./cursor.ts"
import { meet, NOTHING_SEEN, parseSnapshot, sees } from "./snapshot.ts"

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

  it("claims nothing above what was published", () => {
    const cursor = windowDone(beginning("1-a", "pg"), "10:20:10,14,18")
    expect(claimed(cursor, 15n).last).toBe("10:16:10,14")
    expect(claimed(cursor, 9n).last).toBe("10:10:")
    expect(claimed(cursor, 30n).last).toBe(cursor.last)
    expect([highestOf(beginning("1-a", "pg")), highestOf(cursor), highestOf(advance(cursor, "12:30:12", 5, 5))]).toEqual([0n, 19n, 29n])
  })

  it("is not read from what is none", () => {
    for (const text of ["", "{}", "null", "x", `{"epoch":"1","system":"s","last":"1:1","window":null,"tx":0,"id":0}`]) expect(parseCursor(text)).toBeNull()
  })
})

describe("a snapshot", () => {
  property("that two meet in sees what both see", 200, (random) => {
    const make = (): string => {
      const xmin = 10 + random.int(20)
      const running = [xmin, ...Array.from({ length: 8 }, (_, i) => xmin + 1 + i).filter(() => random.chance(0.4))]
      const xmax = random.chance(0.2) ? xmin : xmin + 10 + random.int(5)
      return `${xmin}:${xmax}:${xmax === xmin ? "" : running.join(",")}`
    }
    const [a, b] = [make(), make()]
    const both = parseSnapshot(meet(a, b))!
    for (let xid = 0n; xid < 60n; xid++) expect([a, b, xid, sees(both, xid)]).toEqual([a, b, xid, sees(parseSnapshot(a)!, xid) && sees(parseSnapshot(b)!, xid)])
  })

  it("sees what had ended", () => {
    const snapshot = parseSnapshot("10:20:10,14")!
    expect([9n, 10n, 11n, 14n, 19n, 20n].map((xid) => sees(snapshot, xid))).toEqual([true, false, true, false, true, false])
    expect(sees(parseSnapshot(NOTHING_SEEN)!, 3n)).toBe(false)
    expect(parseSnapshot("10:20")).toBeNull()
  })
})
