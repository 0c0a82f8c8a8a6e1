import { Schema } from "effect"
import { describe, expect, it } from "vitest"
import { GrantRow, MemberRow } from "./acl.ts"
import { CommandReply, CommandRequest, MayRequest, RequestError, TokenReply, ViewsReply, ViewsRequest, reply } from "./request.ts"

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe("a reply", () => {
  const schema = reply(TokenReply)

  it("is a value", () => {
    const value = { ok: true as const, value: { userId: "ada", expiresAt: 1, lasts: 1, issuedAt: 0.5, sessionId: null } }
    expect(Schema.decodeUnknownSync(schema)(json(Schema.encodeSync(schema)(value)))).toEqual(value)
  })

  it("or an error with its reason and its hint", () => {
    const error = new RequestError({ code: "unavailable", message: "m", hint: "h", retryAfter: 1 })
    const decoded = Schema.decodeUnknownSync(schema)(json(Schema.encodeSync(schema)({ ok: false, error })))
    expect(decoded).toMatchObject({ ok: false, error: { code: "unavailable", message: "m", hint: "h", retryAfter: 1 } })
    expect(!decoded.ok && decoded.error).toBeInstanceOf(RequestError)
  })

  it("is nothing else", () => {
    for (const value of [{}, { ok: true }, { ok: false }, { ok: false, error: { code: "odd", message: "", hint: "" } }])
      expect(() => Schema.decodeUnknownSync(schema)(value)).toThrow(/Expected|Missing/)
  })
})

describe("requests", () => {
  it("are read as they are documented", () => {
    const asks = [{ user: "ada", at: 5, before: [] }]
    expect(Schema.decodeUnknownSync(ViewsRequest)({ asks })).toEqual({ asks })
    expect(() => Schema.decodeUnknownSync(ViewsRequest)({ asks: [] })).toThrow(/length/)
    expect(Schema.decodeUnknownSync(ViewsReply)({ views: [{ principals: ["user:ada"], view: 0, before: null, expiresAt: null }], patterns: [[[null, "task", null]]] }).patterns).toHaveLength(1)
    expect(() => Schema.decodeUnknownSync(MayRequest)({ user: "ada", level: "LOOK", scope: null, entity: "task", id: "1" })).toThrow("OWNER")
    const mutation = { id: "m", entityCode: "task", entityId: "1", op: "update", base: { title: "a" }, data: { title: "b" } }
    const command = { user: "ada", mutation, requestId: "r", endpoint: "/ws", method: "MUTATE", userAgent: null, ip: null, trace: null }
    expect(Schema.decodeUnknownSync(CommandRequest)(command)).toMatchObject({ user: "ada", mutation })
    expect(Schema.decodeUnknownSync(CommandReply)({ id: "m", status: "conflict", current: null })).toMatchObject({ status: "conflict", current: null })
  })
})

describe("the rows of the access tables", () => {
  it("are read from what Postgres writes", () => {
    const row = { id: "x", principal: "user:ada", scope: null, entity: "task", entity_id: null, level: "VIEW", expires_at: "2026-01-01T00:00:00.123456+00:00", granted_by: "somebody" }
    expect(Schema.decodeUnknownSync(GrantRow)(row)).toMatchObject({ principal: "user:ada", level: "VIEW" })
    expect(Schema.decodeUnknownSync(MemberRow)({ role: "editors", member: "user:ada" })).toMatchObject({ role: "editors" })
  })

  it("with a level nobody knows are refused", () => {
    const row = { id: "x", principal: "user:ada", scope: null, entity: null, entity_id: null, level: "GOD", expires_at: null }
    expect(() => Schema.decodeUnknownSync(GrantRow)(row)).toThrow("OWNER")
  })
})
