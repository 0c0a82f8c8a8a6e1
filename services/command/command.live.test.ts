/** The command service between a real nats-server and a real Postgres. */
import { Effect, Exit, Logger, Scope } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import postgres from "postgres"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { connect } from "#db/postgres.ts"
import { freePort } from "#dev/ports.ts"
import type { Nats } from "#nats/connection.ts"
import { connectOnce } from "#nats/connection.ts"
import { COMMANDS_AT_ONCE, REQUEST_TIMEOUT_MS } from "#protocol/limits.ts"
import { accessSubject, commandSubject } from "#protocol/subject.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"
import { answer } from "./answer.ts"
import { keepHouse } from "./housekeeping.ts"

let pg: TestPostgres
let nats: TestNats
let sql: postgres.Sql
let scope: Scope.Closeable
let edge: Nats
let problem: () => string | null

/** An instance of the service in this process; answers how to end it. */
const startCommand = async (): Promise<{ readonly problem: () => string | null; readonly stop: () => Promise<void> }> => {
  const own = Scope.makeUnsafe()
  const away = await Effect.gen(function* () {
    const pool = yield* connect({ url: pg.url("tide_command"), name: "command", max: COMMANDS_AT_ONCE + 1 })
    const connection = yield* connectOnce(nats.url("command"), "command")
    const why = yield* keepHouse(pool)
    yield* answer(connection, pool)
    yield* Effect.promise(() => connection.connection.flush())
    return why
  }).pipe(Effect.provide(Logger.layer([])), Scope.provide(own), Effect.runPromise)
  return { problem: away, stop: () => Effect.runPromise(Scope.close(own, Exit.void)) }
}

interface Reply {
  readonly ok: boolean
  readonly value: Record<string, unknown>
  readonly error: Record<string, unknown>
}
let next = 0
const mutation = (op: string, entityId: string, over: Record<string, unknown> = {}) => ({ id: `m${next++}`, entityCode: "item", entityId, op, ...over })
const send = async (sent: ReturnType<typeof mutation>, over: Record<string, unknown> = {}, subject?: string): Promise<Reply> => {
  const command = { user: "ada", mutation: sent, requestId: "r1", endpoint: "/ws", method: "MUTATE", userAgent: "test", ip: "127.0.0.1", trace: null, ...over }
  const to = subject ?? commandSubject({ scope: "l1", entity: sent.entityCode, id: sent.entityId })
  return (await edge.connection.request(to, JSON.stringify(command), { timeout: 10_000 })).json()
}
const outbox = (id: string) => sql`select op, user_id, request_id, endpoint, method, user_agent, ip, mutation_id, traceparent, after from tide.outbox where entity = 'item' and entity_id = ${id} order by id`

let stop: () => Promise<void>
beforeAll(async () => {
  ;[pg, nats] = await Promise.all([migratedPostgres(), startNats()])
  sql = postgres(pg.url(), { max: 4, onnotice: () => {} })
  await sql.unsafe(`
    create schema app;
    create table app.item (id text primary key, list text not null, title text not null default '', n int not null default 0 constraint small check (n < 1000), due date);
    select tide.track('app.item', entity => 'item', scope => 'list');
    select authz.grant_access('user:ada', scope => 'l1', level => 'CREATE');
    select authz.grant_access('user:bob', scope => 'l1', level => 'VIEW'), authz.grant_access('user:zoe', scope => 'l2', level => 'EDIT');
    insert into app.item (id, list, title) values ('1', 'l1', 'one'), ('hidden', 'l2', 'x');
    create sequence app.spoil;
    create function app.spoil() returns trigger language plpgsql as $$ begin
      if new.title = 'spoilt' and nextval('app.spoil') < 3 then raise exception 'spoilt' using errcode = '40001'; end if;
      if new.title = 'slow' then perform pg_sleep(5); end if;
      if new.title = 'always spoilt' then raise exception 'spoilt' using errcode = '40P01'; end if;
      return new;
    end $$;
    create trigger spoil before update on app.item for each row execute function app.spoil();
  `)
  scope = Scope.makeUnsafe()
  edge = await connectOnce(nats.url("edge"), "edge").pipe(Scope.provide(scope), Effect.runPromise)
  ;({ stop, problem } = await startCommand())
})
afterAll(async () => {
  await stop()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await sql.end()
  await Promise.all([pg.stop(), nats.stop()])
})

describe("a command", () => {
  it("is applied, and the outbox says who, how and by which mutation", async () => {
    const sent = mutation("create", "new", { data: { list: "l1", title: "fresh" } })
    expect(await send(sent, { trace: "00-1-2-01" })).toEqual({ ok: true, value: { id: sent.id, status: "applied" } })
    expect(await outbox("new")).toMatchObject([
      { op: "INSERT", user_id: "ada", request_id: "r1", endpoint: "/ws", method: "MUTATE", user_agent: "test", ip: "127.0.0.1", mutation_id: sent.id, traceparent: "00-1-2-01", after: { title: "fresh" } },
    ])
  })

  it("leaves nothing of itself to the next one on its connection", async () => {
    await Promise.all(Array.from({ length: 2 * COMMANDS_AT_ONCE }, (_, i) => send(mutation("create", `a${i}`, { data: { list: "l1" } }), { requestId: `r-${i}`, userAgent: null, ip: null })))
    for (let i = 0; i < 2 * COMMANDS_AT_ONCE; i++) expect(await outbox(`a${i}`)).toMatchObject([{ request_id: `r-${i}`, user_agent: null, ip: null, traceparent: null }])
  })

  it("clashes where somebody else changed the same field, and shows the row", async () => {
    expect((await send(mutation("update", "1", { base: { title: "one" }, data: { title: "two" } }))).value).toMatchObject({ status: "applied" })
    expect((await send(mutation("update", "1", { base: { title: "one" }, data: { title: "three" } }))).value).toMatchObject({ status: "conflict", current: { id: "1", title: "two" } })
    expect((await send(mutation("update", "1", { base: { n: 0 }, data: { n: 5 } }))).value).toMatchObject({ status: "applied" })
  })

  it("is denied in the same words whether there is no such row or no such right", async () => {
    const [missing, hidden] = await Promise.all([send(mutation("update", "none", { data: { n: 1 } })), send(mutation("update", "hidden", { data: { n: 1 } }))])
    expect(missing.value).toMatchObject({ status: "denied" })
    expect({ ...hidden.value, id: "" }).toEqual({ ...missing.value, id: "" })
    expect((await send(mutation("update", "1", { data: { n: 1 } }), { user: "bob" })).value).toMatchObject({ status: "denied" })
    expect((await send(mutation("create", "c", { data: { list: "l2" } }))).value).toMatchObject({ status: "denied" })
  })

  it("is invalid where the values are not what the table takes", async () => {
    for (const data of [{ nope: 1 }, { n: "many" }, { n: 1_000 }, { due: "someday" }, { title: null }])
      expect((await send(mutation("update", "1", { data }))).value).toMatchObject({ status: "invalid", message: expect.any(String) })
  })

  it("is applied once, however often and through whichever instance it comes", async () => {
    const other = await startCommand()
    const sent = mutation("update", "1", { data: { title: "once" } })
    const replies = await Promise.all(Array.from({ length: 20 }, () => send(sent)))
    expect(replies.map((reply) => reply.value["status"])).toEqual(Array.from({ length: 20 }, () => "applied"))
    expect((await outbox("1")).filter((row) => row["mutation_id"] === sent.id)).toHaveLength(1)
    await other.stop()
  })

  it("keeps its place behind those sent before it to the same entity", async () => {
    await Promise.all(Array.from({ length: 100 }, (_, i) => send(mutation("update", "new", { data: { n: i } }))))
    const values = (await outbox("new")).flatMap((row) => (row["op"] === "UPDATE" ? [(row["after"] as { n: number }).n] : []))
    expect(values).toEqual(Array.from({ length: 100 }, (_, i) => i))
  })

  it("is tried again when another transaction spoilt it, and not for ever", async () => {
    expect((await send(mutation("update", "1", { data: { title: "spoilt" } }))).value).toMatchObject({ status: "applied" })
    expect(await send(mutation("update", "1", { data: { title: "always spoilt" } }))).toMatchObject({ ok: false, error: { code: "unavailable", retryAfter: 1 } })
  })

  it("does not wait for ever for a row that somebody keeps locked, nor do others", async () => {
    const held = Promise.withResolvers<void>()
    const locked = Promise.withResolvers<void>()
    const holder = sql.begin(async (tx) => {
      await tx`select from app.item where id = '1' for update`
      locked.resolve()
      await held.promise
    })
    await locked.promise
    const waiting = Promise.all(Array.from({ length: 3 }, () => send(mutation("update", "1", { data: { n: 1 } }))))
    const began = performance.now()
    expect((await send(mutation("update", "new", { data: { n: 7 } }))).value).toMatchObject({ status: "applied" })
    expect(performance.now() - began).toBeLessThan(2_000)
    const first = send(mutation("update", "1", { data: { n: 2 } }))
    for (const reply of [...(await waiting), await first]) expect(reply).toMatchObject({ ok: false, error: { code: "unavailable", retryAfter: 1 } })
    expect(performance.now() - began).toBeLessThan(REQUEST_TIMEOUT_MS)
    held.resolve()
    await holder
    expect((await send(mutation("update", "1", { data: { n: 2 } }))).value).toMatchObject({ status: "applied" })
  })

  it("for a row that one may not see does not wait for those who work on it, no more than for one that is not there", async () => {
    const held = Promise.withResolvers<void>()
    const locked = Promise.withResolvers<void>()
    const holder = sql.begin(async (tx) => {
      await tx`select from app.item where id = 'hidden' for update`
      locked.resolve()
      await held.promise
    })
    await locked.promise
    let answered = false
    const owner = send(mutation("update", "hidden", { data: { n: 1 } }), { user: "zoe" }).finally(() => (answered = true))
    const words = new Set<string>()
    for (const entityId of ["hidden", "none"]) {
      for (const sent of [mutation("update", entityId, { data: { n: 1 } }), mutation("delete", entityId), mutation("create", entityId, { data: { list: "l2" } })])
        words.add(JSON.stringify(await send({ ...sent, id: "same" }, { user: "bob" })))
    }
    expect([...words]).toEqual(['{"ok":true,"value":{"id":"same","status":"denied","message":"no such row, or not allowed"}}'])
    expect(answered).toBe(false)
    held.resolve()
    await holder
    expect((await owner).value).toMatchObject({ status: "applied" })
  })

  it("sent again while others wait is answered as what became of the first", async () => {
    const sent = mutation("delete", "a0")
    expect((await send(sent)).value).toMatchObject({ status: "applied" })
    const replies = await Promise.all(Array.from({ length: 4 }, () => send(sent)))
    expect(replies.map((reply) => reply.value["status"])).toEqual(["applied", "applied", "applied", "applied"])
  })

  it("that takes longer than its asker waits is answered in time, and has its result when it is asked again", async () => {
    const sent = mutation("update", "new", { data: { title: "slow" } })
    const began = performance.now()
    expect(await send(sent)).toMatchObject({ ok: false, error: { code: "unavailable", retryAfter: 1 } })
    expect(performance.now() - began).toBeLessThan(REQUEST_TIMEOUT_MS)
    expect((await send(sent)).value).toMatchObject({ status: "applied" })
    expect((await outbox("new")).filter((row) => row["mutation_id"] === sent.id)).toHaveLength(1)
  })

  it("must be of the entity it is sent to, and be one", async () => {
    const elsewhere = commandSubject({ scope: "l1", entity: "item", id: "other" })
    expect(await send(mutation("update", "1", { data: { n: 1 } }), {}, elsewhere)).toMatchObject({ ok: false, error: { code: "malformed" } })
    expect(await send(mutation("explode", "1"))).toMatchObject({ ok: false, error: { code: "malformed" } })
  })
})

describe("a change of access", () => {
  const ask = async (user: string, change: Readonly<Record<string, unknown>>, subject = accessSubject(user)): Promise<Reply> => {
    const request = { user, change: { id: `a${next++}`, ...change }, requestId: "r2", endpoint: "/v1/access", method: "POST", userAgent: "test", ip: "127.0.0.1", trace: null }
    return (await edge.connection.request(subject, JSON.stringify(request), { timeout: 10_000 })).json()
  }
  const pattern = { principal: "user:carl", scope: "l1", entity: null, entityId: null }

  it("is applied, denied or invalid, and the outbox says who and how", async () => {
    expect(await ask("ada", { type: "grant", ...pattern, level: "CREATE", expiresAt: null })).toMatchObject({ ok: true, value: { status: "applied" } })
    expect(await ask("bob", { type: "revoke", ...pattern })).toMatchObject({ ok: true, value: { status: "denied" } })
    expect(await ask("ada", { type: "grant", ...pattern, level: "VIEW", expiresAt: "2001-01-01T00:00:00Z" })).toMatchObject({ ok: true, value: { status: "invalid", message: expect.stringContaining("expired") } })
    expect(await ask("ada", { type: "grant", ...pattern, principal: "carl", level: "VIEW", expiresAt: null })).toMatchObject({ ok: true, value: { status: "invalid" } })
    expect(await ask("ada", { type: "revoke", ...pattern })).toMatchObject({ ok: true, value: { status: "applied" } })
    expect(await sql`select op, user_id, request_id, endpoint, method, user_agent, ip from tide.outbox where entity = '_grant' and coalesce(after::jsonb, before::jsonb) ->> 'principal' = 'user:carl' order by id`).toEqual(
      ["INSERT", "DELETE"].map((op) => ({ op, user_id: "ada", request_id: "r2", endpoint: "/v1/access", method: "POST", user_agent: "test", ip: "127.0.0.1" })))
  })

  it("must be of the user it is sent for, and be one", async () => {
    expect(await ask("ada", { type: "revoke", ...pattern }, accessSubject("bob"))).toMatchObject({ ok: false, error: { code: "malformed" } })
    expect(await ask("ada", { type: "revoke", ...pattern }, commandSubject({ scope: null, entity: "item", id: "1" }))).toMatchObject({ ok: false, error: { code: "malformed" } })
    expect(await send(mutation("update", "1", { data: { n: 1 } }), {}, accessSubject("ada"))).toMatchObject({ ok: false, error: { code: "malformed" } })
    expect(await ask("ada", { type: "own" })).toMatchObject({ ok: false, error: { code: "malformed" } })
  })
})

describe("the service", () => {
  it("deletes a grant once it has expired, in the log too", async () => {
    await sql`select authz.grant_access('user:guest', scope => 'l1', level => 'VIEW', expires_at => now() + interval '300 milliseconds')`
    await until(async () => (await sql`select op from tide.outbox where entity = '_grant' and op = 'DELETE' and before ->> 'principal' = 'user:guest'`).length === 1, { what: "the expiry in the outbox" })
  })

  it("says so while Postgres is away, and goes on after that", async () => {
    const sent = mutation("update", "1", { data: { title: "after the crash" } })
    await pg.kill()
    expect(await send(sent)).toMatchObject({ ok: false, error: { code: "unavailable" } })
    await until(() => problem() !== null, { what: "the problem to be known" })
    await pg.restart()
    const reply = await until(async () => send(sent).then((r) => (r.ok ? r : null)), { what: "Postgres to answer again", deadline: 15_000 })
    expect(reply.value).toMatchObject({ status: "applied" })
    await until(() => problem() === null, { what: "the problem to be gone" })
  })

  it("runs as a process that is ready, and ends in good order", async () => {
    const port = await Effect.runPromise(freePort())
    const child = spawn(process.execPath, [fileURLToPath(new URL("./main.ts", import.meta.url))], {
      env: { PATH: process.env["PATH"], NATS_URL: nats.url("command"), DATABASE_URL: pg.url("tide_command"), TIDELINE_OBSERVE_PORT: String(port) },
      stdio: ["ignore", "pipe", "inherit"],
    })
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
    await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200, { what: "the service to be ready", deadline: 20_000 })
    child.kill("SIGTERM")
    expect(await ended).toBe(0)
  })
})
