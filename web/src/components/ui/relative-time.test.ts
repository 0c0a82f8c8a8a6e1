import { describe, expect, it } from "vitest"
import { clockTime, dayOf, dueDay, isoDay, relativeTime } from "./relative-time.ts"

const now = new Date(2026, 10, 21, 15, 30)
const ago = (seconds: number): string => relativeTime(now.getTime() - seconds * 1_000, now.getTime(), "en")

describe("relative time", () => {
  it("names the largest unit that is whole", () => {
    expect(ago(0)).toBe("now")
    expect(ago(59)).toBe("now")
    expect(ago(60)).toBe("1 min. ago")
    expect(ago(3_599)).toBe("59 min. ago")
    expect(ago(7_200)).toBe("2 hr. ago")
    expect(ago(86_400)).toBe("yesterday")
    expect(ago(8 * 86_400)).toBe("last wk.")
    expect(ago(-90)).toBe("in 1 min.")
  })
  it("gives the day to a clock time of another day only", () => {
    expect(clockTime(new Date(2026, 10, 21, 10, 42).getTime(), now.getTime(), "en-GB")).toBe("10:42")
    expect(clockTime(new Date(2026, 10, 19, 10, 42).getTime(), now.getTime(), "en-GB")).toBe("19 Nov, 10:42")
  })
})

describe("due days", () => {
  const due = (day: string): string => `${dueDay(day, now, "en-GB").text} ${dueDay(day, now, "en-GB").state}`
  it("reads as people say it", () => {
    expect(due("2026-11-20")).toBe("yesterday overdue")
    expect(due("2026-11-21")).toBe("today today")
    expect(due("2026-11-22")).toBe("tomorrow soon")
    expect(due("2026-11-26")).toBe("Thu later")
    expect(due("2026-12-03")).toBe("3 Dec later")
    expect(due("2027-12-03")).toBe("3 Dec 2027 later")
    expect(due("2026-11-10")).toBe("10 Nov overdue")
  })
  it("keeps the day in every zone", () => {
    expect(isoDay(dayOf("2026-03-01"))).toBe("2026-03-01")
    expect(isoDay(dayOf("2026-03-01T00:00:00Z"))).toBe("2026-03-01")
  })
})
