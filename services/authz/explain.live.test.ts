/** What is told about access is what the tables say, asked a second way in SQL; and nobody is told more than they may know. */
import postgres from "postgres"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { ExplainedGrant, ExplainReply, ExplainRequest } from "#protocol/explain.ts"
import type { Pattern } from "#protocol/grant.ts"
import { LEVELS } from "#protocol/grant.ts"
import type { LogMessage } from "#nats/log.ts"
import { memoryLog } from "#nats/log-memory.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import type { TestPostgres } from "#test/support/servers.ts"
import { migratedPostgres } from "#test/support/servers.ts"
import { ACL_PATTERNS, aclEvent } from "./acl-event.ts"
import { makeExplain } from "./explain.ts"
import { Fold } from "./fold.ts"

const users = ["ada", "bob", "cyd", "dan", "a:b", "Éva"]
const roles = ["editors", "authors", "staff", "r 5"]
const scopes = ["p1", "p2", ""]
const entities = ["task", "note", "_grant", "_member"]
const ids = ["1", "2", ""]

let server: TestPostgres
let sql: postgres.Sql
beforeAll(async () => {
  server = await migratedPostgres()
  sql = postgres(server.url(), { max: 1, onnotice: () => {} })
})
afterAll(async () => {
  await sql.end()
  await server.stop()
})

const any = (random: Random, values: ReadonlyArray<string>): string | null => (random.chance(0.5) ? null : random.pick(values))

const change = async (random: Random): Promise<void> => {
  const member = random.chance(0.5) ? `user:${random.pick(users)}` : `role:${random.pick(roles)}`
  const principal = random.chance(0.08) ? "everyone" : random.chance(0.4) ? `user:${random.pick(users)}` : `role:${random.pick(roles)}`
  try {
    await sql.begin(async (tx) => {
      await tx`select set_config('tide.user_id', ${random.pick(["boss", ""])}, true)`
      if (random.chance(0.3)) await tx`select authz.add_member(${random.pick(roles)}, ${member})`
      else
        await tx`select authz.grant_access(${principal}, ${any(random, scopes)}, ${any(random, entities)}, ${any(random, ids)}, ${random.pick(LEVELS)},
          ${random.chance(0.2) ? new Date(Date.now() + 3_600_000) : null})`
    })
  } catch (error) {
    // A role inside itself, and what else is refused, is no change.
    if (!(error instanceof postgres.PostgresError)) throw error
  }
}

/** The tables as a log has them, and what explains them. */
const explaining = async (): Promise<(request: Omit<ExplainRequest, "asker"> & { readonly asker?: string | null }) => Promise<ExplainReply>> => {
  const log = memoryLog()
  const rows = await sql<Array<{ entity: string; id: string; body: string }>>`
    select '_grant' as entity, id, to_jsonb(g)::text as body from authz.grants g
    union all select '_member', role || ',' || member, to_jsonb(m)::text from authz.members m`
  const fold = new Fold(0)
  if (rows.length > 0) log.append(...rows.map((row) => ({ scope: null, operation: "INSERT" as const, ...row })))
  await log.readState({ patterns: ACL_PATTERNS, after: 0, page: (messages: ReadonlyArray<LogMessage>) => messages.forEach((message) => fold.apply(aclEvent(message))) })
  const explain = makeExplain({ fold: { reached: async () => fold, reasons: () => [] }, log, now: Date.now })
  return (request) => explain({ asker: null, ...request })
}

/** Every page. */
const all = async (ask: Awaited<ReturnType<typeof explaining>>, request: Parameters<typeof ask>[0], limit: number): Promise<ExplainReply> => {
  let reply = await ask({ ...request, limit })
  const grants = [...reply.grants]
  const holders = [...reply.holders]
  while (reply.next !== null) {
    reply = await ask({ ...request, limit, after: reply.next })
    expect(reply.grants.length + reply.holders.length).toBeLessThanOrEqual(limit)
    grants.push(...reply.grants)
    holders.push(...reply.holders)
  }
  return { ...reply, grants, holders }
}

/** Of a principal: the grants of all it counts as, that give something on the pattern, as SQL has it. */
const grantsInSql = (of: string, on: Pattern | null) => sql<Array<{ id: string; principal: string; granted_by: string | null; whole: boolean; level: string }>>`
  with recursive held(principal) as (
    select ${of}::text union select 'role:' || m.role from held h join authz.members m on m.member = h.principal),
  counts as (select principal from held union select 'everyone' where ${of.startsWith("user:")})
  select g.id, g.principal, g.granted_by, g.level::text,
    coalesce(${on === null} or ((g.scope is null or g.scope = ${on?.scope ?? null}) and (g.entity = ${on?.entity ?? null} or g.entity is null and ${on?.entity ?? "x"} not like '\\_%') and (g.entity_id is null or g.entity_id = ${on?.id ?? null})), false) as whole
  from authz.grants g where g.principal in (select principal from counts) and (g.expires_at is null or g.expires_at > now())
    and (${on === null} or (
      (g.scope is null or ${on?.scope ?? null}::text is null or g.scope = ${on?.scope ?? null}) and (g.entity_id is null or ${on?.id ?? null}::text is null or g.entity_id = ${on?.id ?? null})
      and case when ${on?.entity ?? null}::text is null then g.entity is null or g.entity not like '\\_%'
               when g.entity is null then ${on?.entity ?? ""} not like '\\_%'
               else g.entity = ${on?.entity ?? null} end
      and not (coalesce(g.entity, ${on?.entity ?? null}, '') like '\\_%' and coalesce(g.scope, ${on?.scope ?? null}) is not null)))`

/** Each way must be made of memberships that there are, and end where the grant is. */
const checkWays = async (of: string, grant: ExplainedGrant): Promise<void> => {
  expect(grant.paths.length).toBeGreaterThan(0)
  for (const way of grant.paths) {
    if (way.length === 0) {
      expect([of, "everyone"]).toContain(grant.principal)
      continue
    }
    expect(`role:${way.at(-1)}`).toBe(grant.principal)
    const steps = way.map((role, i) => ({ role, member: i === 0 ? of : `role:${way[i - 1]}` }))
    const [row] = await sql<Array<{ there: number }>>`
      select count(*)::int as there from authz.members m join jsonb_to_recordset(${JSON.stringify(steps)}::text::jsonb) as s(role text, member text) using (role, member)`
    expect(row!.there).toBe(way.length)
  }
}

describe("an explanation", () => {
  property("names exactly the grants, holders and levels that SQL finds, whatever was granted", 6, async (random) => {
    await sql`truncate authz.grants, authz.members`
    for (let i = 0; i < 60; i++) await change(random)
    const ask = await explaining()
    for (let i = 0; i < 25; i++) {
      const user = random.pick([...users, "nobody"])
      const of = random.chance(0.2) ? `role:${random.pick(roles)}` : `user:${user}`
      const address = { scope: random.pick([null, ...scopes]), entity: random.pick(entities), id: random.pick([...ids, "9"]) }
      if (address.entity.startsWith("_")) address.scope = null
      const exact = await all(ask, { of, on: address, exact: true }, 1 + random.int(5))
      if (of.startsWith("user:")) {
        const [held] = await sql<Array<{ level: string | null }>>`
          select max(l)::text as level from unnest(enum_range(null::authz.level)) l where authz.allows(${user}, l::text, ${address.scope}, ${address.entity}, ${address.id})`
        expect({ of, address, level: exact.level }).toEqual({ of, address, level: held!.level })
      }
      const on = random.chance(0.2) ? null : { scope: any(random, scopes), entity: any(random, entities), id: any(random, ids) }
      const truth = await grantsInSql(of, on)
      const told = await all(ask, { of, on }, 1 + random.int(7))
      const shape = (rows: ReadonlyArray<{ readonly id: string | null; readonly by: string | null; readonly whole: boolean }>) => rows.map((row) => JSON.stringify(row)).sort()
      expect(shape(told.grants.map((grant) => ({ id: grant.id, by: grant.grantedBy, whole: grant.whole })))).toEqual(shape(truth.map((row) => ({ id: row.id, by: row.granted_by, whole: row.whole }))))
      for (const grant of told.grants) await checkWays(of, grant)
      if (on === null) continue
      // Who holds something there: asked of everybody, one by one.
      const everybody = ["everyone", ...roles.map((role) => `role:${role}`), ...users.map((one) => `user:${one}`)].sort()
      const holders = await all(ask, { of: null, on }, 1 + random.int(4))
      const expected: Array<unknown> = []
      for (const principal of everybody) {
        // Not everybody is named for what everyone has.
        const own = (await grantsInSql(principal, on)).filter((row) => principal === "everyone" || row.principal !== "everyone")
        if (own.length === 0) continue
        const best = (rows: ReadonlyArray<{ level: string }>) => LEVELS.findLast((level) => rows.some((row) => row.level === level)) ?? null
        expected.push({ principal, level: best(own.filter((row) => row.whole)), most: best(own), more: own.length > 5 })
      }
      expect(holders.holders.map(({ principal, level, most, more }) => ({ principal, level, most, more }))).toEqual(expected)
      for (const { principal, grants } of holders.holders) for (const grant of grants) await checkWays(principal, grant)
    }
  })
})

describe("who may ask", () => {
  const p1 = { scope: "p1", entity: null, id: null }
  const NOTHING = { level: null, grants: [], holders: [], next: null }

  beforeAll(async () => {
    await sql`truncate authz.grants, authz.members`
    await sql`select authz.grant_access('role:boards', 'p1', level => 'SHARE'), authz.add_member('boards', 'sam'),
      authz.grant_access('user:vic', 'p1', level => 'VIEW'), authz.grant_access('user:vic', 'p2', level => 'EDIT'),
      authz.grant_access('role:rulers', level => 'OWNER'), authz.grant_access('role:rulers', entity => '_grant', level => 'VIEW'),
      authz.add_member('rulers', 'ada'), authz.grant_access('role:rulers', entity => '_member', level => 'VIEW'),
      authz.grant_access('user:half', entity => '_grant', level => 'OWNER'), authz.grant_access('user:half', level => 'EDIT'),
      authz.grant_access('user:far', entity => 'task', entity_id => 'elsewhere', level => 'VIEW'), authz.grant_access('user:wide', entity => 'task', level => 'EDIT')`
  })

  it("about oneself: everybody, and not about another", async () => {
    const ask = await explaining()
    expect((await ask({ asker: "vic", of: "user:vic", on: null })).grants.map((grant) => grant.scope)).toEqual(["p1", "p2"])
    expect(await ask({ asker: "vic", of: "user:vic", on: p1 })).toMatchObject({ level: "VIEW" })
    for (const of of ["user:ada", "user:nobody", "role:boards", "everyone"])
      for (const on of [null, p1]) expect(await ask({ asker: "vic", of, on })).toMatchObject(NOTHING)
    expect(await ask({ asker: "sam", of: "user:vic", on: p1 })).toMatchObject(NOTHING)
    expect(await ask({ asker: "half", of: "user:vic", on: null }), "VIEW on _grant alone is not enough").toMatchObject(NOTHING)
  })

  it("about others: who sees grants and memberships", async () => {
    const ask = await explaining()
    expect((await ask({ asker: "ada", of: "user:vic", on: null })).grants).toHaveLength(2)
    expect((await ask({ asker: "ada", of: "role:rulers", on: null })).grants).toHaveLength(3)
  })

  it("about a pattern: who may share all of it, and they see of wider grants only what is in it", async () => {
    const ask = await explaining()
    expect(await ask({ asker: "vic", of: null, on: p1 }), "VIEW is not SHARE").toMatchObject(NOTHING)
    expect(await ask({ asker: "sam", of: null, on: { scope: null, entity: "task", id: null } }), "not all of it").toMatchObject(NOTHING)
    expect(await ask({ asker: "sam", of: null, on: { scope: "p2", entity: null, id: null } })).toMatchObject(NOTHING)
    expect(await ask({ asker: "half", of: null, on: p1 }), "EDIT on everything is not SHARE").toMatchObject(NOTHING)
    const { holders } = await ask({ asker: "sam", of: null, on: p1 })
    expect(holders.map(({ principal, level, most }) => `${principal} ${level} ${most}`)).toEqual([
      "role:boards SHARE SHARE", "role:rulers OWNER OWNER", "user:ada OWNER OWNER", "user:half EDIT EDIT", "user:sam SHARE SHARE", "user:vic VIEW VIEW", "user:wide null EDIT",
    ])
    expect(holders.find((one) => one.principal === "user:ada")!.grants).toEqual([
      { id: null, principal: "role:rulers", scope: "p1", entity: null, entityId: null, level: "OWNER", expiresAt: null, grantedBy: null, grantedAt: null, whole: true, cut: true, paths: [["rulers"]] },
    ])
    expect(holders.find((one) => one.principal === "user:wide")!.grants).toMatchObject([{ scope: "p1", entity: "task", cut: true, whole: false }])
    expect(JSON.stringify(holders)).not.toMatch(/p2|elsewhere|_grant/)
    const administrators = await ask({ asker: "ada", of: null, on: p1 })
    expect(administrators.holders.map((one) => one.principal)).toContain("user:far")
    expect(administrators.holders.find((one) => one.principal === "role:rulers")!.grants).toMatchObject([{ scope: null, cut: false }])
  })

  it("says who granted it and when, and nothing of that where the row has changed since", async () => {
    await sql.begin(async (tx) => {
      await tx`select set_config('tide.user_id', 'ada', true)`
      await tx`select authz.grant_access('user:new', 'p1', 'task', '7', 'EDIT', '2099-01-01')`
    })
    const ask = await explaining()
    const [row] = await sql<Array<{ at: Date }>>`select granted_at as at from authz.grants where principal = 'user:new'`
    const [grant] = (await ask({ of: "user:new", on: null })).grants
    expect(grant).toMatchObject({ scope: "p1", entity: "task", entityId: "7", level: "EDIT", grantedBy: "ada", expiresAt: "2099-01-01T00:00:00.000Z", cut: false, paths: [[]] })
    expect(new Date(grant!.grantedAt!).getTime()).toBe(row!.at.getTime())
  })

  it("neither whose nor on what is no question", async () => {
    const ask = await explaining()
    await expect(ask({ of: null, on: null })).rejects.toMatchObject({ code: "malformed" })
  })
})

describe("ways through roles", () => {
  it("are told shortest first, up to a bound, and never go in a circle", async () => {
    await sql`truncate authz.grants, authz.members`
    await sql`select authz.add_member('top', 'role:left'), authz.add_member('top', 'role:right'), authz.add_member('left', 'ada'), authz.add_member('right', 'ada'), authz.add_member('top', 'ada'),
      authz.grant_access('role:top', 'p1', level => 'EDIT')`
    const ask = await explaining()
    const [grant] = (await ask({ of: "user:ada", on: null })).grants
    expect(grant!.paths[0]).toEqual(["top"])
    expect(grant!.paths.map((way) => way.join(" ")).sort()).toEqual(["left top", "right top", "top"])
    // Postgres refuses a circle; a log that has one all the same ends nobody's process.
    await sql`alter table authz.members disable trigger refuse_cycle`
    await sql`insert into authz.members (role, member) values ('left', 'role:top')`
    await sql`alter table authz.members enable trigger refuse_cycle`
    const around = await explaining()
    expect((await around({ of: "role:left", on: null })).grants[0]!.paths).toEqual([["top"]])
    expect((await around({ of: null, on: { scope: "p1", entity: null, id: null } })).holders.map((one) => one.principal)).toEqual(["role:left", "role:right", "role:top", "user:ada"])
  })
})
