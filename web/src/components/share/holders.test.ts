/** Who has access to a project, as it is listed and may be changed, without a page. */
import { describe, expect, it } from "vitest"
import type { ExplainedGrant, Holder } from "#protocol/explain.ts"
import { LEVELS } from "#protocol/grant.ts"
import { endOf, FOR_GOOD, isChosen } from "../access/lasts.ts"
import { entriesOf, levelsUpTo, mayChange, rowsOf } from "./holders.ts"

const grant = (over: Partial<ExplainedGrant> = {}): ExplainedGrant => ({
  id: "1", principal: "user:bob", scope: "p1", entity: null, entityId: null, level: "EDIT", expiresAt: null, grantedBy: "ada", grantedAt: "2026-11-21T10:00:00Z", whole: true, cut: false, paths: [[]], ...over,
})
const holder = (principal: string, ...grants: ReadonlyArray<ExplainedGrant>): Holder => ({ principal, level: "EDIT", most: "EDIT", grants, more: false })
const nameOf = (principal: string): string => principal.replace(/^.*:/, "")

describe("who has access", () => {
  it("is listed oneself first, then people, roles and everyone by name", () => {
    const all = ["everyone", "role:a", "user:zoe", "user:bob", "user:me"].map((principal) => holder(principal, grant({ principal })))
    expect(entriesOf(all, "p1", "me", nameOf).map((entry) => entry.principal)).toEqual(["user:me", "user:bob", "user:zoe", "role:a", "everyone"])
  })

  it("has one grant that is the project's own, and the others beside it", () => {
    const own = grant()
    const others = [grant({ principal: "role:r", paths: [["r"]] }), grant({ entity: "task", entityId: "7", whole: false }), grant({ scope: null, id: "9" })]
    const [entry] = entriesOf([holder("user:bob", ...others, own)], "p1", "me", nameOf)
    expect([entry!.own, entry!.others]).toEqual([own, others])
    expect(entriesOf([holder("user:bob", grant({ cut: true }))], "p1", "me", nameOf)[0]!.own).toBeNull()
  })

  it("is nobody whose grants are on what lies in no project", () => {
    expect(entriesOf([holder("everyone", grant({ principal: "everyone", scope: null, entity: "person", whole: false }))], "p1", "me", nameOf)).toEqual([])
  })
})

describe("what may be changed", () => {
  it("is what lies in the project, is theirs, and is not above one's own level, for SHARE and above", () => {
    const may = LEVELS.map((mine) => LEVELS.filter((level) => mayChange(grant({ level }), "user:bob", "p1", mine)).length)
    expect(may).toEqual([0, 0, 3, 4, 5, 6])
    const kept = [grant({ cut: true }), grant({ scope: null }), grant({ scope: "p2" }), grant({ principal: "role:r" })]
    expect(kept.map((one) => mayChange(one, "user:bob", "p1", "OWNER"))).toEqual([false, false, false, false])
    expect(mayChange(grant(), "user:bob", "p1", null)).toBe(false)
    expect(levelsUpTo("SHARE")).toEqual(["VIEW", "EDIT", "SHARE"])
  })

  it("is seen to be done by the grants themselves, not by parts of them or by a role's", () => {
    const rows = rowsOf([holder("user:bob", grant({ id: "3" }), grant({ cut: true, id: null }), grant({ principal: "role:r" }))])
    expect(rows.map((row) => [row.id, row.principal, row.scope, row.level])).toEqual([["3", "user:bob", "p1", "EDIT"]])
  })
})

describe("how long a grant lasts", () => {
  const now = Date.parse("2026-11-21T10:00:00Z")
  it("is for good, for a span from now, or to the end of a day here", () => {
    expect(endOf(FOR_GOOD, now)).toBeNull()
    expect(endOf({ span: "3600000", day: "" }, now)).toBe("2026-11-21T11:00:00.000Z")
    expect(endOf({ span: "day", day: "2026-12-24" }, now)).toBe(new Date(2026, 11, 24, 23, 59, 59).toISOString())
  })
  it("is not chosen before the day is", () => {
    expect([isChosen(FOR_GOOD), isChosen({ span: "day", day: "" }), isChosen({ span: "day", day: "2026-12-24" })]).toEqual([true, false, true])
  })
})
