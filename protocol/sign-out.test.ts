import { describe, expect, it } from "vitest"
import { ends, signOutOf, SignOutRow } from "./sign-out.ts"

const row = (session: string | null, signed_out_at: string) => signOutOf(new SignOutRow({ id: "x", user_id: "ada", session, signed_out_at }))
const at = Date.UTC(2026, 10, 21, 12, 0, 0, 123)
const all = row(null, "2026-11-21T12:00:00.123987+00:00")
const token = (issuedAt: number | null, sessionId: string | null = null, userId = "ada") => ({ userId, issuedAt, sessionId })

describe("a sign-out of all sessions", () => {
  it("ends what was issued before it, and what does not say when", () => {
    expect(all.at).toBe(at)
    expect(ends(all, token(null))).toBe(true)
    expect(ends(all, token(0))).toBe(true)
    expect(ends(all, token(Math.floor(at / 1_000)))).toBe(true)
    expect(ends(all, token(at / 1_000))).toBe(true)
    expect(ends(all, token(at / 1_000 + 0.000_5))).toBe(true)
  })

  it("leaves what was issued after it, and whoever is somebody else", () => {
    expect(ends(all, token(at / 1_000 + 0.001_5))).toBe(false)
    expect(ends(all, token(Math.floor(at / 1_000) + 1))).toBe(false)
    expect(ends(all, token(null, null, "grace"))).toBe(false)
    expect(ends(all, token(0, "phone", "Ada"))).toBe(false)
  })
})

describe("a sign-out of one session", () => {
  const phone = row("phone", "2026-11-21T12:00:00+00:00")
  it("ends every token of it, whenever it was issued, and no other", () => {
    for (const issued of [null, 0, at / 1_000, at]) expect(ends(phone, token(issued, "phone"))).toBe(true)
    for (const session of [null, "", "Phone", "laptop"]) expect(ends(phone, token(0, session))).toBe(false)
    expect(ends(phone, token(0, "phone", "grace"))).toBe(false)
  })
})

it("a time that cannot be read ends whatever was issued", () => {
  expect(ends(row(null, "infinity"), token(1e12))).toBe(true)
})
