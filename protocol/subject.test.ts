import { describe, expect, it } from "vitest"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import { matches } from "./grant.ts"
import { TOKEN_BYTES } from "./limits.ts"
import type { Address } from "./subject.ts"
import { changeSubject, commandSubject, decodeToken, encodeToken, filterSubject, isAddressText, isEntityCode, parseSubject } from "./subject.ts"

/** What nats-server takes for a token: no dot, wildcard, blank or control character, and it is not empty. */
const safe = /^[\x21-\x7E]+$/
const isToken = (token: string): boolean => safe.test(token) && !/[.*>]/.test(token)

/** How nats-server matches a subject. */
const natsMatches = (filter: string, subject: string): boolean => {
  const [f, s] = [filter.split("."), subject.split(".")]
  return f.length === s.length && f.every((token, i) => token === "*" || token === s[i])
}

const address = (random: Random): Address =>
  random.chance(0.2)
    ? { scope: null, entity: random.pick(["_grant", "_member", "_sign_out", "_entity", "_epoch", "_aside"]), id: random.text(3) }
    : { scope: random.chance(0.3) ? null : random.text(3), entity: random.pick(["task", "note", "a_1"]), id: random.text(3) }

describe("tokens", () => {
  property("hold any text, safely and reversibly", 3_000, (random) => {
    const text = random.text(8)
    const token = encodeToken(text)
    expect(isToken(token)).toBe(true)
    expect(token.startsWith("_")).toBe(false)
    expect(decodeToken(token)).toBe(text)
  })

  property("have one spelling each: what encodeToken does not make is refused", 3_000, (random) => {
    const token = random.text(4)
    const text = decodeToken(token)
    if (text !== null) expect(encodeToken(text)).toBe(token)
  })

  it("keep what people read as it is", () => {
    for (const text of ["p1", "0b8f-44", "a,b", "src/main~", "a_b", "x@y:z+1="]) expect(encodeToken(text)).toBe(text)
    expect(encodeToken("")).toBe("%")
    expect(encodeToken("_")).toBe("%5F")
    expect(encodeToken("a.b")).toBe("a%2Eb")
  })

  it("refuse other spellings and broken ones", () => {
    for (const token of ["_", "_acl", "a.b", "%61", "%2e", "%C3", "a b", "%zz"]) expect(decodeToken(token)).toBeNull()
  })

  it("bound what an address may hold", () => {
    expect(isAddressText("x".repeat(TOKEN_BYTES))).toBe(true)
    expect(isAddressText("x".repeat(TOKEN_BYTES + 1))).toBe(false)
    expect(isAddressText(".".repeat(TOKEN_BYTES / 2))).toBe(false)
    expect(isAddressText("\uD800")).toBe(false)
    expect(isAddressText("a\0b")).toBe(false)
  })
})

describe("subjects", () => {
  property("name one address each", 2_000, (random) => {
    const at = address(random)
    expect(parseSubject(changeSubject(at))).toEqual(at)
    expect(parseSubject(commandSubject(at))).toEqual(at)
  })

  property("are filtered by a pattern as the pattern matches", 3_000, (random) => {
    const at = address(random)
    const part = (own: string | null, other: string) => random.pick([null, own, other])
    const pattern = { scope: part(at.scope, "q"), entity: part(at.entity, "task"), id: part(at.id, "1") }
    const system = at.entity.startsWith("_")
    // Any entity never means the log's own, though a filter with a wildcard lets them through; they have one scope, of their own.
    if (pattern.entity === null && system) return
    if (system) expect(natsMatches(filterSubject(pattern), changeSubject(at))).toBe(matches({ ...pattern, scope: null }, at))
    else expect(natsMatches(filterSubject(pattern), changeSubject(at))).toBe(matches(pattern, at))
  })

  it("of strangers are refused", () => {
    for (const subject of ["", "chg", "chg.a.task", "chg.a.task.1.2", "x.a.task.1", "chg.a.Task.1", "chg.p1._grant.x", "chg._acl.task.x", "chg._schema._grant.x", "chg.a.task.%61", "chg..task.1"])
      expect(parseSubject(subject)).toBeNull()
  })

  it("have entity codes that are names", () => {
    for (const code of ["task", "a", "a_1"]) expect(isEntityCode(code)).toBe(true)
    for (const code of ["", "_a", "1a", "Task", "a-b", "a.b", "x".repeat(65)]) expect(isEntityCode(code)).toBe(false)
  })
})
