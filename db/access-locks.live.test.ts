/**
 * Of a mutation and the revocation that it would have been denied by, one waits for the other, and the log has them in the order in which
 * it was decided. Two connections each, real locks; nothing is timed.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import type postgres from "postgres"
import { openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { until } from "#test/support/until.ts"

let db: TestDatabase
let users: postgres.Sql
let other: postgres.Sql
beforeAll(async () => {
  db = await openDatabase()
  ;[users, other] = [db.connect(), db.connect()]
  await db.sql.unsafe(`
    create schema app; create table app.task (id text primary key, project text not null, n int not null default 0);
    select tide.track('app.task', 'task', scope => 'project');
    insert into app.task select 't' || i, 'p' || i from generate_series(1, 9) i`)
})
afterAll(() => db.stop())
beforeEach(async () => {
  await db.sql`delete from authz.grants; delete from authz.members`.simple()
  await db.events()
})

let next = 0
const mutation = (id: string) => JSON.stringify({ id: `m${next++}`, entityCode: "task", entityId: id, op: "update", data: { n: next } })
const mutate = async (sql: postgres.ISql, user: string, id: string): Promise<unknown> =>
  (await sql`select tide.mutate(${mutation(id)}::text::jsonb, ${user}) ->> 'status' as status`)[0]!["status"] as unknown
const change = async (sql: postgres.ISql, user: string, wish: Readonly<Record<string, unknown>>): Promise<unknown> =>
  (await sql`select authz.change(${JSON.stringify({ id: `c${next++}`, ...wish })}::text::jsonb, ${user}) ->> 'status' as status`)[0]!["status"] as unknown

/** The session of a connection. */
const pid = async (sql: postgres.ISql): Promise<number> => (await sql<Array<{ pid: number }>>`select pg_backend_pid() as pid`)[0]!.pid
const waiting = async (session: number): Promise<boolean> =>
  (await db.sql<Array<{ yes: boolean }>>`select exists (select from pg_locks where pid = ${session} and not granted) as yes`)[0]!.yes

/** `first` in a transaction that stays open until `second`, on the other connection, waits for it; then both end. */
const oneAfterTheOther = async <A, B>(first: (tx: postgres.ISql) => Promise<A>, second: (sql: postgres.ISql) => Promise<B>): Promise<[A, B]> => {
  const session = await pid(other)
  let late: Promise<B> | undefined
  const done = await users.begin(async (tx) => {
    const result = await first(tx)
    late = second(other)
    void late.catch(() => {})
    await until(() => waiting(session), { what: "the second to wait for the first" })
    return result
  })
  return [done as A, await late!]
}
/** What is in the log, transaction after transaction, each in the place of its last row. */
const log = async (): Promise<ReadonlyArray<string>> => {
  const rows = await db.events()
  const last = new Map<string, number>()
  for (const row of rows) last.set(row.xid, Number(row.id))
  return [...rows].sort((a, b) => last.get(a.xid)! - last.get(b.xid)! || Number(a.id) - Number(b.id)).map(({ entity, op }) => `${entity} ${op}`)
}

describe("a revocation", () => {
  const ways: ReadonlyArray<[string, string, (sql: postgres.ISql) => Promise<unknown>, string]> = [
    ["of a user's grant", "select authz.grant_access('user:ada', scope => 'p1', level => 'EDIT')", async (sql) => sql`select authz.revoke_access('user:ada', scope => 'p1')`, "_grant DELETE"],
    ["of everyone's grant", "select authz.grant_access('everyone', level => 'EDIT')", async (sql) => sql`select authz.revoke_access('everyone')`, "_grant DELETE"],
    ["of a grant to a role in a role", "select authz.grant_access('role:b', scope => 'p1', level => 'EDIT'), authz.add_member('a', 'ada'), authz.add_member('b', 'role:a')",
      async (sql) => sql`select authz.revoke_access('role:b', scope => 'p1')`, "_grant DELETE"],
    ["that lowers a grant", "select authz.grant_access('user:ada', scope => 'p1', level => 'EDIT')", async (sql) => sql`select authz.grant_access('user:ada', scope => 'p1', level => 'VIEW')`, "_grant UPDATE"],
    ["by hand", "select authz.grant_access('user:ada', scope => 'p1', level => 'EDIT')", async (sql) => sql`delete from authz.grants`, "_grant DELETE"],
    ["that moves a grant to somebody else", "select authz.grant_access('user:ada', scope => 'p1', level => 'EDIT')", async (sql) => sql`update authz.grants set principal = 'user:bob'`, "_grant DELETE,_grant INSERT"],
    ["of a membership", "select authz.grant_access('role:a', scope => 'p1', level => 'EDIT'), authz.add_member('a', 'ada')", async (sql) => sql`select authz.remove_member('a', 'ada')`, "_member DELETE"],
    ["of a role's membership in a role", "select authz.grant_access('role:b', scope => 'p1', level => 'EDIT'), authz.add_member('a', 'ada'), authz.add_member('b', 'role:a')",
      async (sql) => sql`select authz.remove_member('b', 'role:a')`, "_member DELETE"],
    ["by a user", "select authz.grant_access('user:ada', scope => 'p1', level => 'EDIT'), authz.grant_access('user:root', level => 'OWNER')",
      async (sql) => change(sql, "root", { type: "revoke", principal: "user:ada", scope: "p1", entity: null, entityId: null }), "_grant DELETE"],
    ["by a user, of a membership", "select authz.grant_access('role:a', scope => 'p1', level => 'EDIT'), authz.add_member('a', 'ada'), authz.grant_access('user:root', entity => '_member', level => 'EDIT')",
      async (sql) => change(sql, "root", { type: "leave", role: "a", member: "user:ada" }), "_member DELETE"],
    ["of everything at once", "select authz.grant_access('user:ada', scope => 'p1', level => 'EDIT')", async (sql) => sql`truncate authz.grants`, "_grant DELETE"],
  ]

  it.each(ways)("%s waits for a mutation under way, and stands after it", async (_, prepare, revoke, event) => {
    await db.sql.unsafe(prepare)
    await db.events()
    const [status] = await oneAfterTheOther((tx) => mutate(tx, "ada", "t1"), revoke)
    expect(status).toBe("applied")
    expect(await log()).toEqual(["task UPDATE", ...event.split(",")])
    expect(await mutate(db.sql, "ada", "t1")).toBe("denied")
  })

  it.each(ways)("%s that is under way is waited for by a mutation, which is denied then", async (_, prepare, revoke, event) => {
    await db.sql.unsafe(prepare)
    await db.events()
    const [, status] = await oneAfterTheOther(revoke, (sql) => mutate(sql, "ada", "t1"))
    expect(status).toBe("denied")
    expect(await log()).toEqual(event.split(","))
  })

  it("that is taken back lets the mutation go on", async () => {
    await db.sql`select authz.grant_access('user:ada', scope => 'p1', level => 'EDIT')`
    const [, status] = await oneAfterTheOther(
      async (tx) => void (await (tx as postgres.TransactionSql).savepoint((at) => at`select authz.revoke_access('user:ada', scope => 'p1')`.then(() => Promise.reject(new Error("no")))).catch(() => {}), await tx`select authz.revoke_access('user:nobody')`, await tx`select authz.grant_access('user:ada', scope => 'p1', level => 'OWNER')`),
      (sql) => mutate(sql, "ada", "t1"),
    )
    expect(status).toBe("applied")
  })

  it("is waited for, and waits, in the same way where access is changed instead of a row", async () => {
    await db.sql`select authz.grant_access('user:ada', scope => 'p1', level => 'SHARE')`
    await db.events()
    const wish = { type: "grant", principal: "user:bob", scope: "p1", entity: null, entityId: null, level: "VIEW", expiresAt: null }
    const revoke = async (sql: postgres.ISql) => sql`select authz.revoke_access('user:ada', scope => 'p1')`
    expect((await oneAfterTheOther((tx) => change(tx, "ada", wish), revoke))[0]).toBe("applied")
    expect(await log()).toEqual(["_grant INSERT", "_grant DELETE"])
    await db.sql`select authz.grant_access('user:ada', scope => 'p1', level => 'SHARE')`
    expect((await oneAfterTheOther(revoke, (sql) => change(sql, "ada", wish)))[1]).toBe("denied")
  })
})

describe("a membership that changes while it is read", () => {
  it("is looked at again until what is held is what there is", async () => {
    // ada joins b through a while her mutation waits for role a; then b's grant is what it rests on, and b is held as well.
    await db.sql`select authz.grant_access('role:b', scope => 'p1', level => 'EDIT'), authz.add_member('a', 'ada'), authz.grant_access('role:a', scope => 'p2', level => 'VIEW')`
    await db.events()
    const [, status] = await oneAfterTheOther(
      async (tx) => void (await tx`select authz.revoke_access('role:a', scope => 'p2')`, await tx`select authz.add_member('b', 'role:a')`),
      (sql) => sql.unsafe("begin").then(() => mutate(sql, "ada", "t1")),
    )
    expect(status).toBe("applied")
    const held = await db.sql<Array<{ principal: string }>>`
      select p as principal from unnest('{user:ada,role:a,role:b,everyone,role:c}'::text[]) p
      join pg_locks l on l.locktype = 'advisory' and l.classid = authz.lock_space()::bit(32)::bigint::oid and l.objid = authz.lock_of(p)::oid and l.mode = 'ShareLock' order by 1`
    expect(held.map(({ principal }) => principal)).toEqual(["everyone", "role:a", "role:b", "user:ada"])
    const session = await pid(users)
    const revoked = users`select authz.revoke_access('role:b', scope => 'p1')`.execute()
    await until(() => waiting(session), { what: "the revocation to wait" })
    await other.unsafe("commit")
    await revoked
    expect(await log()).toEqual(["_grant DELETE", "_member INSERT", "task UPDATE", "_grant DELETE"])
  })

  it("gives nothing that is not held: a role joined after the locks were taken", async () => {
    await db.sql`select authz.grant_access('role:b', scope => 'p1', level => 'EDIT')`
    const held = await users.begin(async (tx) => {
      const [row] = await tx<Array<{ who: ReadonlyArray<string> }>>`select authz.hold('ada') as who`
      await other`select authz.add_member('b', 'ada')`
      const [may] = await tx<Array<{ held: boolean; now: boolean }>>`select authz.permits(${row!.who as Array<string>}, 'EDIT', 'p1', 'task', 't1') as held, authz.allows('ada', 'EDIT', 'p1', 'task', 't1') as now`
      return may
    })
    expect(held).toEqual({ held: false, now: true })
  })

  it("needs a snapshot that is newer than the locks", async () => {
    await db.sql`select authz.grant_access('user:ada', scope => 'p1', level => 'EDIT')`
    for (const level of ["repeatable read", "serializable"]) {
      expect(await refusal(users.begin(`isolation level ${level}`, (tx) => mutate(tx, "ada", "t1")))).toMatchObject({ code: "55000", hint: expect.stringContaining("read committed") })
      expect(await refusal(users.begin(`isolation level ${level}`, (tx) => change(tx, "ada", { type: "leave", role: "a", member: "user:b" })))).toMatchObject({ code: "55000" })
    }
  })
})

describe("the locks", () => {
  const advisory = async (session: number): Promise<number> =>
    (await db.sql<Array<{ n: number }>>`select count(*)::int as n from pg_locks where pid = ${session} and locktype = 'advisory'`)[0]!.n

  it("of ten thousand grants that are revoked at once, or given, are as many as there are and no more", async () => {
    await db.sql`insert into authz.grants (principal, scope, level) select 'user:u' || i, 'p1', 'EDIT' from generate_series(1, 10000) i`
    const session = await pid(users)
    const [locks] = await db.sql<Array<{ most: number }>>`select authz.principal_locks() + 1 as most`
    await users.begin(async (tx) => {
      await tx`delete from authz.grants where scope = 'p1'`
      expect(await advisory(session)).toBeLessThanOrEqual(locks!.most)
    })
    await users.begin(async (tx) => {
      await tx`insert into authz.grants (principal, scope, level) select 'user:ada', 's' || i, 'EDIT' from generate_series(1, 3000) i`
      expect(await advisory(session)).toBeLessThanOrEqual(locks!.most)
    })
    // A user of three thousand roles takes no more either, but one for the mutation's id.
    await db.sql`insert into authz.members (role, member) select 'r' || i, 'user:many' from generate_series(1, 3000) i`
    await db.sql`select authz.grant_access('role:r77', scope => 'p1', level => 'EDIT')`
    await users.begin(async (tx) => {
      expect(await mutate(tx, "many", "t1")).toBe("applied")
      expect(await advisory(session)).toBeLessThanOrEqual(locks!.most + 1)
    })
  })

  it("of an operator's open transaction stall those who share a principal's lock with it, and nobody else", async () => {
    await db.sql`select authz.grant_access('user:ada', scope => 'p1', level => 'EDIT'), authz.grant_access('role:b', scope => 'p1', level => 'EDIT'), authz.add_member('b', 'bob')`
    const [shares] = await db.sql<Array<{ user: string; apart: string }>>`
      select (array_agg(i) filter (where l = authz.lock_of('user:ada')))[1] as user, (array_agg(i) filter (where l <> authz.lock_of('user:ada')))[1] as apart
      from (select 'u' || i as i, authz.lock_of('user:u' || i) as l from generate_series(1, 20000) i) s`
    for (const user of [shares!.user, shares!.apart]) await db.sql`select authz.grant_access(${`user:${user}`}, scope => 'p2', level => 'EDIT')`
    await users.begin(async (tx) => {
      await tx`select authz.revoke_access('user:ada', scope => 'p1')`
      expect(await mutate(db.sql, "bob", "t1")).toBe("applied")
      expect(await mutate(db.sql, shares!.apart, "t2")).toBe("applied")
      expect(await db.sql`select authz.revoke_access('role:b', scope => 'p1') as done`).toEqual([{ done: true }])
      await db.sql`set lock_timeout = '20ms'`
      for (const user of ["ada", shares!.user]) expect(await refusal(mutate(db.sql, user, "t2"))).toMatchObject({ code: "55P03" })
      await db.sql`reset lock_timeout`
    })
    expect(await mutate(db.sql, shares!.user, "t2")).toBe("applied")
  })

  it("are not waited for by the deletion of what has expired: it comes back to it", async () => {
    await db.sql`insert into authz.grants (principal, scope, level, expires_at) values ('user:ada', 'p1', 'EDIT', now() - interval '1 s'), ('user:bob', 'p1', 'EDIT', now() - interval '1 s')`
    await users.begin(async (tx) => {
      await tx`select authz.hold('ada')`
      expect(await db.sql`select authz.expire() as gone`).toEqual([{ gone: 1 }])
    })
    expect(await db.sql`select authz.expire() as gone`).toEqual([{ gone: 1 }])
  })

  it("are taken in one order: two who change each other's access at once are not in each other's way for ever", async () => {
    await db.sql`select authz.grant_access('everyone', level => 'OWNER')`
    const [pair] = await db.sql<Array<{ low: string; high: string }>>`select u.low, u.high from (values ('a', 'b'), ('b', 'a')) u(low, high) where authz.lock_of('user:' || low) < authz.lock_of('user:' || high)`
    const { low, high } = pair!
    const both = [db.connect(), db.connect()] as const
    const sessions = await Promise.all(both.map(pid))
    const changes = await users.begin(async (tx) => {
      await tx`select authz.hold('nobody', ${`user:${low}`})`
      const wish = (whom: string) => ({ type: "revoke", principal: `user:${whom}`, scope: "p1", entity: null, entityId: null })
      const first = change(both[0], low, wish(high))
      await until(() => waiting(sessions[0]!), { what: "the first to wait" })
      const second = change(both[1], high, wish(low))
      await until(() => waiting(sessions[1]!), { what: "the second to wait" })
      return { under: [first, second] }
    })
    // A deadlock would be an error of one of them.
    expect(await Promise.all(changes.under)).toEqual(["applied", "applied"])
  })
})
