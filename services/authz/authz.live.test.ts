/** authz on a real nats-server; the tests write the log themselves, as the relay would. */
import { headers as natsHeaders } from "@nats-io/nats-core"
import { DiscardPolicy, jetstream } from "@nats-io/jetstream"
import { Effect, Exit, Logger, Scope } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "#dev/ports.ts"
import type { Nats } from "#nats/connection.ts"
import { connectOnce } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import { CHANGES, STATE, applyStreams, changesConfig, mirrorReached, stateConfig } from "#nats/streams.ts"
import { HEADER } from "#protocol/event.ts"
import { encodeHeader } from "#protocol/event.ts"
import { REQUEST } from "#protocol/request.ts"
import { changeSubject } from "#protocol/subject.ts"
import type { TestNats } from "#test/support/servers.ts"
import { startNats } from "#test/support/servers.ts"
import type { ViewAnswer } from "#test/support/view-answer.ts"
import { viewAnswer, viewQuestion } from "#test/support/view-answer.ts"
import { until } from "#test/support/until.ts"
import { answer } from "./answer.ts"
import { makeLiveFold } from "./live-fold.ts"
import { makeTokens } from "./token.ts"

const SECRET = "0123456789abcdef0123456789abcdef"
let server: TestNats
let scope: Scope.Closeable
let operator: Nats
let time = Date.UTC(2026, 0, 1)

/** An instance of authz in this process; answers how to end it. */
const startAuthz = async (demo = true): Promise<() => Promise<void>> => {
  const own = Scope.makeUnsafe()
  await Effect.gen(function* () {
    const nats = yield* connectOnce(server.url("authz"), "authz")
    const log = jetStreamLog(nats)
    const fold = yield* makeLiveFold(log)
    const now = () => time
    yield* answer(nats, { fold, log, demo, now, tokens: makeTokens({ type: "secret", secret: SECRET }, now) })
    yield* Effect.promise(() => nats.connection.flush())
  }).pipe(Effect.provide(Logger.layer([])), Scope.provide(own), Effect.runPromise)
  return () => Effect.runPromise(Scope.close(own, Exit.void))
}

const write = async (entity: string, id: string, row: unknown, over: { scope?: string; operation?: string; before?: unknown } = {}): Promise<number> => {
  const headers = natsHeaders()
  headers.set(HEADER.operation, over.operation ?? (row === null ? "DELETE" : "INSERT"))
  headers.set(HEADER.transaction, "1, 1/1")
  headers.set(HEADER.at, new Date(time).toISOString())
  if (over.before !== undefined) headers.set(HEADER.before, encodeHeader(JSON.stringify(over.before)))
  const subject = changeSubject({ scope: over.scope ?? null, entity, id })
  const ack = await jetstream(operator.connection).publish(subject, row === null ? undefined : JSON.stringify(row), { headers })
  return ack.seq
}
const grantRow = (principal: string, over: Record<string, unknown> = {}) => ({ id: principal, principal, scope: "p1", entity: null, entity_id: null, level: "EDIT", expires_at: null, ...over })

interface Reply {
  readonly ok: boolean
  readonly value: Record<string, unknown>
  readonly error: Record<string, unknown>
}
const ask = async (subject: string, payload: unknown, timeout = 5_000): Promise<Reply> =>
  (await operator.connection.request(subject, typeof payload === "string" ? payload : JSON.stringify(payload), { timeout })).json()
const askView = async (asked: Parameters<typeof viewQuestion>[0]): Promise<ViewAnswer> =>
  viewAnswer((await operator.connection.request(REQUEST.views, viewQuestion(asked), { timeout: 5_000 })).string())

beforeAll(async () => {
  server = await startNats()
  scope = Scope.makeUnsafe()
  operator = await connectOnce(server.url(), "test").pipe(Scope.provide(scope), Effect.runPromise)
})
afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await server.stop()
})

const emptyStreams = async (config: Omit<Partial<typeof changesConfig>, "discard"> & Record<string, unknown> = {}) => {
  for (const name of [STATE, CHANGES]) await operator.jetstream.streams.delete(name).catch(() => {})
  await operator.jetstream.streams.add({ ...changesConfig, ...config, deny_purge: false })
  await operator.jetstream.streams.add(stateConfig)
}

describe("authz over NATS", () => {
  let stop: () => Promise<void>
  beforeAll(async () => {
    await applyStreams(operator)
    stop = await startAuthz()
  })
  afterAll(() => stop())

  it("answers as of the sequence asked for, and what was allowed before", async () => {
    const granted = await write("_grant", "a", grantRow("user:ada"))
    const member = await write("_member", "m", { role: "r", member: "user:ada" })
    const role = await write("_grant", "b", grantRow("role:r", { scope: null, entity: "task", level: "VIEW", expires_at: new Date(time + 60_000).toISOString() }))
    const revoked = await write("_grant", "a", null, { before: grantRow("user:ada") })
    const p1 = { scope: "p1", entity: null, id: null }
    const tasks = { scope: null, entity: "task", id: null }
    const view = async (at: number, before?: number) => (await askView({ user: "ada", at, before })).value
    expect(await view(revoked, granted)).toEqual({
      principals: ["user:ada", "everyone", "role:r"],
      allowed: [tasks],
      allowedBefore: [p1],
      expiresAt: time + 60_000,
    })
    expect(await view(role)).toMatchObject({ allowed: [p1, tasks], allowedBefore: null })
    expect(await view(member)).toMatchObject({ allowed: [p1], principals: ["user:ada", "everyone", "role:r"] })
    expect(await view(granted - 1)).toMatchObject({ allowed: [], principals: ["user:ada", "everyone"] })
    const may = async (level: string, scope: string) => (await ask(REQUEST.may, { user: "ada", level, scope, entity: "task", id: "1", at: revoked })).value
    expect(await may("VIEW", "p1")).toEqual({ allowed: true })
    expect(await may("EDIT", "p1")).toEqual({ allowed: false })
    time += 60_000
    expect(await view(revoked)).toMatchObject({ allowed: [], expiresAt: null })
    expect(await view(revoked, role)).toMatchObject({ allowedBefore: null })
  })

  it("knows that it has reached a sequence that is no access event", async () => {
    let last = 0
    for (let i = 0; i < 50; i++) last = await write("task", String(i), { id: i }, { scope: "p1" })
    const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => askView({ user: "bob", at: last - i })))
    expect(replies.every((reply) => reply.ok)).toBe(true)
    const after = await write("_grant", "bob", grantRow("user:bob"))
    expect((await askView({ user: "bob", at: await write("task", "x", {}, { scope: "p1" }) })).value.allowed).toHaveLength(1)
    expect((await askView({ user: "bob", at: after - 1 })).value.allowed).toHaveLength(0)
  })

  it("does not guess about a sequence that is still to come, and others do not wait for it", async () => {
    const { last } = await jetStreamLog(operator).head()
    const began = performance.now()
    const future = askView({ user: "ada", at: last + 1_000 })
    expect((await askView({ user: "ada", at: last })).ok).toBe(true)
    expect(performance.now() - began).toBeLessThan(1_500)
    expect(await future).toMatchObject({ ok: false, error: { code: "unavailable", retryAfter: 1 } })
  })

  it("waits for a sequence that comes in time", async () => {
    const { last } = await jetStreamLog(operator).head()
    const asked = askView({ user: "cyd", at: last + 1 })
    await write("_grant", "cyd", grantRow("user:cyd"))
    expect((await asked).value.allowed).toHaveLength(1)
  })

  it("hands out demo tokens that it takes", async () => {
    const { token } = (await ask(REQUEST.demo, { user: "ada" })).value
    expect((await ask(REQUEST.token, { token })).value).toMatchObject({ userId: "ada" })
    expect(await ask(REQUEST.token, { token: "x" })).toMatchObject({ ok: false, error: { code: "unauthorised" } })
    expect(await ask(REQUEST.demo, { user: "" })).toMatchObject({ ok: false, error: { code: "unauthorised" } })
  })

  it("refuses a token that was ended, as of the sequence asked for or later, and says nothing of one that it cannot reach", async () => {
    const signOut = (session: string | null, at: number) =>
      write("_sign_out", `ada ${session}`, { id: `ada ${session}`, user_id: "ada", session, signed_out_at: new Date(at).toISOString(), signed_out_by: null }, { operation: "UPDATE" })
    const tokens = makeTokens({ type: "secret", secret: SECRET }, () => time)
    const [phone, laptop] = [await tokens.issue("ada", "phone"), await tokens.issue("ada", "laptop")]
    const verdict = async (token: string, at?: number) => {
      const { ok, error } = await ask(REQUEST.token, { token, ...(at === undefined ? {} : { at }) })
      return ok ? "good" : error["code"]
    }
    const atPhone = await signOut("phone", time)
    expect([await verdict(phone, atPhone), await verdict(laptop, atPhone)]).toEqual(["signed_out", "good"])
    const atAll = await signOut(null, time)
    // It knows more by now than was asked for, and uses it; asked for what is to come it waits, and then does not guess.
    await verdict(laptop, atAll)
    expect([await verdict(laptop, atPhone), await verdict(laptop), await verdict(await tokens.issue("grace"), atAll)]).toEqual(["signed_out", "signed_out", "good"])
    expect(await verdict(await tokens.issue("grace"), atAll + 1_000)).toBe("unavailable")
    expect(await verdict("a.b.c", atAll + 1_000)).toBe("unauthorised")
    time += 1
    expect([await verdict(await tokens.issue("ada"), atAll), await verdict(await tokens.issue("ada", "phone"), atAll)]).toEqual(["good", "signed_out"])
    // Whoever takes the row away takes it back.
    const undone = await write("_sign_out", "ada phone", null)
    expect(await verdict(await tokens.issue("ada", "phone"), undone)).toBe("good")
  })

  it("says so when it is asked nonsense", async () => {
    for (const payload of ["", "{", "[]", { asks: [] }, { asks: [{ user: "ada" }] }, { asks: [{ user: 1, at: 1, before: [] }] }])
      expect(await ask(REQUEST.views, payload)).toMatchObject({ ok: false, error: { code: "malformed" } })
  })

  it("goes on after its server was killed", async () => {
    await server.kill()
    await server.restart()
    await until(() => operator.connected(), { what: "the operator's connection" })
    const seq = await until(() => write("_grant", "dan", grantRow("user:dan")).catch(() => null), { what: "a write after the restart" })
    const reply = await until(async () => askView({ user: "dan", at: seq }).then((r) => (r.ok ? r : null), () => null), { what: "an answer" })
    expect(reply.value.allowed).toHaveLength(1)
  })

  it("starts over when the stream is another one", async () => {
    await emptyStreams()
    const seq = await write("_grant", "eve", grantRow("user:eve"))
    const view = (user: string) => askView({ user, at: seq })
    await until(async () => (await view("eve")).value.allowed?.length === 1, { what: "the new stream's view" })
    expect((await view("bob")).value.allowed).toHaveLength(0)
  })

  it("shares the work, and hands nothing out where it is no demo", async () => {
    await stop()
    const [one, two] = [await startAuthz(false), await startAuthz(false)]
    const { last } = await jetStreamLog(operator).head()
    const replies = await Promise.all(Array.from({ length: 200 }, () => askView({ user: "eve", at: last })))
    expect(replies.every((reply) => reply.value.allowed.length === 1)).toBe(true)
    await expect(ask(REQUEST.demo, { user: "ada" })).rejects.toThrow(/no responders/i)
    await one()
    expect((await askView({ user: "eve", at: last })).ok).toBe(true)
    await two()
    await expect(askView({ user: "eve", at: last })).rejects.toThrow(/no responders/i)
    stop = () => Promise.resolve()
  })
})

describe("authz where CHANGES no longer holds everything", () => {
  it("takes what is older from STATE, and does not vouch for what was before", async () => {
    await emptyStreams({ discard: DiscardPolicy.Old, max_msgs: 30 })
    await write("_grant", "old", grantRow("user:ada"))
    await write("_grant", "gone", grantRow("user:ada", { scope: "p2" }))
    const goneAt = await write("_grant", "gone", null, { before: grantRow("user:ada", { scope: "p2" }) })
    const older = await write("_member", "m", { role: "r", member: "user:ada" })
    expect(await mirrorReached(operator, older, 5_000)).toBe(true)
    await write("_sign_out", "eve", { id: "eve", user_id: "eve", session: null, signed_out_at: new Date(time).toISOString(), signed_out_by: null })
    const token = await makeTokens({ type: "secret", secret: SECRET }, () => time).issue("eve")
    let last = 0
    for (let i = 0; i < 40; i++) last = await write("task", String(i), {}, { scope: "p1" })
    const fresh = await write("_grant", "old", grantRow("user:ada", { level: "VIEW" }), { operation: "UPDATE", before: grantRow("user:ada") })
    expect(await mirrorReached(operator, fresh, 5_000)).toBe(true)
    const { first } = await jetStreamLog(operator).head()
    expect(first).toBeGreaterThan(goneAt)
    const stop = await startAuthz()
    const view = (before: number) => askView({ user: "ada", at: fresh, before })
    expect((await view(last)).value).toMatchObject({ principals: ["user:ada", "everyone", "role:r"], allowed: [{ scope: "p1" }], allowedBefore: [{ scope: "p1" }] })
    expect((await view(first - 1)).value).toMatchObject({ allowedBefore: [{ scope: "p1" }] })
    expect((await view(first - 2)).value).toMatchObject({ allowedBefore: null })
    expect((await ask(REQUEST.token, { token, at: fresh })).error).toMatchObject({ code: "signed_out" })
    await stop()
  })
})

describe("the authz process", () => {
  it("is ready once it has read the log, and ends in good order", async () => {
    const port = await Effect.runPromise(freePort())
    const child = spawn(process.execPath, [fileURLToPath(new URL("./main.ts", import.meta.url))], {
      env: { PATH: process.env["PATH"], NATS_URL: server.url("authz"), TIDELINE_JWT_SECRET: SECRET, TIDELINE_OBSERVE_PORT: String(port) },
      stdio: ["ignore", "pipe", "inherit"],
    })
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
    const ready = await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200, { what: "authz to be ready", deadline: 20_000 })
    expect(ready).toBe(true)
    expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toMatch(/tideline_authz_fold_rows \d/)
    child.kill("SIGTERM")
    expect(await ended).toBe(0)
  })
})
