/** One rule, twice: the fold over what the outbox says, and authz.allows over the tables. */
import postgres from "postgres"
import { afterAll, beforeAll, describe, expect } from "vitest"
import type { LogMessage } from "#nats/log.ts"
import type { Operation } from "#protocol/event.ts"
import { LEVELS, matches } from "#protocol/grant.ts"
import { changeSubject } from "#protocol/subject.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import type { TestPostgres } from "#test/support/servers.ts"
import { migratedPostgres } from "#test/support/servers.ts"
import { aclEvent } from "./acl-event.ts"
import { Fold } from "./fold.ts"

const users = ["ada", "bob", "cyd", "dan", "a:b", "Éva"]
const roles = ["editors", "authors", "staff", "all", "r 5"]
const scopes = ["p1", "p2", "", "ä.b"]
const entities = ["task", "note", "_grant"]
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

/** Null often: any. */
const any = (random: Random, values: ReadonlyArray<string>): string | null => (random.chance(0.5) ? null : random.pick(values))

/** One change of the access tables, through the functions that people call. What they refuse is no change. */
const change = async (random: Random): Promise<void> => {
  const role = random.pick(roles)
  const member = random.chance(0.5) ? random.pick(users.filter((user) => !user.includes(":"))) : `role:${random.pick(roles)}`
  const principal = random.chance(0.1) ? "everyone" : random.chance(0.5) ? `user:${random.pick(users)}` : `role:${random.pick(roles)}`
  const [scope, entity, id] = [any(random, scopes), any(random, entities), any(random, ids)]
  const expires = random.chance(0.3) ? new Date(Date.now() + 3_600_000) : null
  const what = random.next()
  try {
    if (what < 0.3) await sql`select authz.add_member(${role}, ${member})`
    else if (what < 0.4) await sql`select authz.remove_member(${role}, ${member})`
    else if (what < 0.8) await sql`select authz.grant_access(${principal}, ${scope}, ${entity}, ${id}, ${random.pick(LEVELS)}, ${expires})`
    else if (what < 0.9) await sql`select authz.revoke_access(${principal}, ${scope}, ${entity}, ${id})`
    // Time passes for some of those that end.
    else await sql`update authz.grants set expires_at = now() - interval '1 hour' where expires_at is not null and random() < 0.5`
  } catch (error) {
    if (!(error instanceof postgres.PostgresError)) throw error
  }
}

interface OutboxRow {
  readonly id: string
  readonly entity: string
  readonly entity_id: string
  readonly op: Operation
  readonly after: string | null
  readonly before: string | null
}

/** The fold over the outbox, with its ids for sequences. */
const foldOutbox = async (): Promise<Fold> => {
  const rows = await sql<Array<OutboxRow>>`
    select id, entity, entity_id, op, after::text, before::text from tide.outbox where entity in ('_grant', '_member') order by id`
  const fold = new Fold(0)
  for (const row of rows) {
    const address = { scope: null, entity: row.entity, id: row.entity_id }
    const message: LogMessage = {
      seq: Number(row.id), subject: changeSubject(address), address, operation: row.op, body: row.after ?? "", before: row.before, at: "",
      user: null, mutation: null, trace: null, transaction: { xid: "1", position: 1, count: 1 }, storedAt: 0,
    }
    const event = aclEvent(message)
    expect(event.problem).toBeUndefined()
    fold.apply(event)
  }
  return fold
}

describe("the fold and authz.allows", () => {
  property("say the same of any user, level and entity, after any history", 6, async (random) => {
    await sql`delete from authz.grants`
    await sql`delete from authz.members`
    for (let i = 0; i < 120; i++) await change(random)
    const fold = await foldOutbox()
    const now = Date.now()
    const asked = Array.from({ length: 1_500 }, (_, i) => {
      const entity = random.pick([...entities, "else"])
      return { i, who: random.pick([...users, "nobody"]), level: random.pick(LEVELS), scope: entity === "_grant" ? null : random.pick([null, "other", ...scopes]), entity, id: random.pick([...ids, "9"]) }
    })
    const answers = await sql<Array<{ readonly allowed: boolean }>>`
      select authz.allows(who, level, scope, entity, id) as allowed
      from jsonb_to_recordset(${JSON.stringify(asked)}::text::jsonb) as a(i int, who text, level text, scope text, entity text, id text) order by i`
    let allowed = 0
    asked.forEach(({ who, level, scope, entity, id }, i) => {
      const sqlSays = answers[i]!.allowed
      if (sqlSays) allowed++
      expect({ who, level, scope, entity, id, allowed: fold.may(who, level, { scope, entity, id }, now) }).toEqual({ who, level, scope, entity, id, allowed: sqlSays })
      if (level === "VIEW") {
        const view = fold.view(who, Number.MAX_SAFE_INTEGER, now)
        expect(view.allowed.some((pattern) => matches(pattern, { scope, entity, id }))).toBe(sqlSays)
      }
    })
    // A test in which nobody may anything, or everybody everything, shows nothing.
    expect(allowed).toBeGreaterThan(20)
    expect(allowed).toBeLessThan(1_480)
    const principals = await sql<Array<{ readonly who: string; readonly all: ReadonlyArray<string> }>>`
      select who, authz.principals(who) as all from unnest(${users}::text[]) who`
    for (const { who, all } of principals) expect(new Set(fold.principals(who, Number.MAX_SAFE_INTEGER))).toEqual(new Set(all))
    const [held] = await sql<Array<{ readonly rows: number }>>`select (select count(*) from authz.grants)::int + (select count(*) from authz.members)::int as rows`
    expect(fold.size).toBe(held!.rows)
  })
})
