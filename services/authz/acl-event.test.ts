import { Result, Schema } from "effect"
import { describe, expect, it } from "vitest"
import { GrantRow, MemberRow } from "#protocol/acl.ts"
import type { LogMessage } from "#nats/log.ts"
import { changeSubject } from "#protocol/subject.ts"
import { property } from "#test/support/random.ts"
import { aclEvent } from "./acl-event.ts"

const message = (entity: string, id: string, over: Partial<LogMessage>): LogMessage => {
  const address = { scope: null, entity, id }
  const rest = { at: "2026-01-01T00:00:00.000000Z", user: null, mutation: null, trace: null, before: null, storedAt: 0 }
  return { seq: 7, subject: changeSubject(address), address, operation: "INSERT", body: "", transaction: { xid: "1", position: 1, count: 1 }, ...rest, ...over }
}
const grant = { id: "g", principal: "user:ada", scope: "p1", entity: null, entity_id: null, level: "EDIT", expires_at: "2026-01-01T00:00:00.5+00:00" }

describe("an access event", () => {
  it("is a grant", () => {
    expect(aclEvent(message("_grant", "g", { body: JSON.stringify(grant) }))).toEqual({
      seq: 7,
      key: "_grant/g",
      operation: "INSERT",
      fact: { kind: "grant", principal: "user:ada", pattern: { scope: "p1", entity: null, id: null }, rank: 1, expiresAt: Date.UTC(2026, 0, 1) + 500 },
      before: null,
    })
  })

  it("that lasts for ever, whichever way Postgres says so", () => {
    for (const expires_at of [null, "infinity"])
      expect(aclEvent(message("_grant", "g", { body: JSON.stringify({ ...grant, expires_at }) })).fact).toMatchObject({ expiresAt: null })
  })

  it("ends to the microsecond, in whatever year", () => {
    const ends = (expires_at: string) => {
      const { fact } = aclEvent(message("_grant", "g", { body: JSON.stringify({ ...grant, expires_at }) }))
      return fact?.kind === "grant" ? fact.expiresAt : undefined
    }
    expect(ends("2026-01-01T00:00:00.123456+00:00")).toBeCloseTo(Date.UTC(2026, 0, 1) + 123.456, 3)
    expect(ends("20000-01-01T00:00:00+00:00")).toBe(Date.UTC(20_000, 0, 1))
    expect(ends("294276-01-01T00:00:00+00:00")).toBeNull()
    for (const past of ["-infinity", "0044-03-15T00:00:00+00:00 BC"]) expect(ends(past)).toBe(0)
  })

  it("is a membership", () => {
    expect(aclEvent(message("_member", "m", { body: JSON.stringify({ role: "r", member: "user:ada" }) })).fact).toEqual({ kind: "member", role: "r", member: "user:ada" })
  })

  it("says what a deletion took", () => {
    const event = aclEvent(message("_grant", "g", { operation: "DELETE", before: JSON.stringify(grant) }))
    expect(event.fact).toBeNull()
    expect(event.before).toMatchObject({ principal: "user:ada" })
  })

  it("grants nothing where it cannot be read", () => {
    for (const body of ["{", "[]", JSON.stringify({ ...grant, level: "GOD" }), JSON.stringify({ ...grant, expires_at: "soon" })]) {
      const event = aclEvent(message("_grant", "g", { operation: "UPDATE", body }))
      expect(event.fact).toBeNull()
      expect(event.problem).toMatch(/^_grant g: /)
    }
  })

  property("is read where its schema reads it, and nowhere else", 500, (random) => {
    const odd = () => random.pick([undefined, null, 7, "", "x", [], {}, true, "infinity", "VIEW", "2026-01-01T00:00:00+00:00"])
    const [entity, schema] = random.pick([["_grant", GrantRow], ["_member", MemberRow]] as const)
    const right: Record<string, unknown> = entity === "_grant" ? { ...grant, expires_at: null } : { role: "r", member: "user:ada", added_by: null }
    const body = random.chance(0.1) ? odd() : Object.fromEntries(Object.entries(right).map(([name, value]) => [name, random.chance(0.15) ? odd() : value]))
    const { fact } = aclEvent(message(entity, "g", { body: JSON.stringify(body ?? null) }))
    const read = Schema.decodeUnknownResult(schema as Schema.ConstraintDecoder<{ readonly expires_at?: string | null }>)(JSON.parse(JSON.stringify(body ?? null)))
    const expires = (Result.isSuccess(read) ? read.success.expires_at : null) ?? null
    expect(fact !== null).toBe(Result.isSuccess(read) && (expires === null || expires === "infinity" || !Number.isNaN(Date.parse(expires))))
  })
})
