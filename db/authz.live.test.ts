/** Access in SQL: the rule, held against the patterns of protocol/grant.ts, and the calls that change it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Schema } from "effect"
import { GrantRow, MemberRow } from "#protocol/acl.ts"
import { LEVELS, levelAtLeast, matches } from "#protocol/grant.ts"
import { openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { property } from "#test/support/random.ts"

let db: TestDatabase
beforeAll(async () => void (db = await openDatabase()))
afterAll(() => db.stop())

const allows = async (user: string, level: string, scope: string | null, entity: string, id: string): Promise<boolean> => {
  const [row] = await db.sql<Array<{ yes: boolean }>>`select authz.allows(${user}, ${level}, ${scope}, ${entity}, ${id}) as yes`
  return row!.yes
}
const clear = () => db.sql`delete from authz.grants; delete from authz.members`.simple()

describe("authz.allows", () => {
  it("grants a level and those below it, on what the pattern matches", async () => {
    await clear()
    await db.sql`select authz.grant_access(principal => 'user:ada', scope => 'p1', level => 'EDIT')`
    expect(await allows("ada", "VIEW", "p1", "task", "1")).toBe(true)
    expect(await allows("ada", "EDIT", "p1", "task", "1")).toBe(true)
    expect(await allows("ada", "SHARE", "p1", "task", "1")).toBe(false)
    expect(await allows("ada", "VIEW", "p2", "task", "1")).toBe(false)
    expect(await allows("ada", "VIEW", null, "task", "1")).toBe(false)
    expect(await allows("ad", "VIEW", "p1", "task", "1")).toBe(false)
  })

  it("reaches users through roles, roles inside roles, and everyone", async () => {
    await clear()
    await db.sql`select authz.add_member('leads', 'ada'), authz.add_member('builders', 'role:leads'), authz.add_member('people', 'role:builders')`
    await db.sql`select authz.grant_access('role:people', scope => 'p1', level => 'VIEW'), authz.grant_access('everyone', entity => 'person', level => 'VIEW')`
    expect(await allows("ada", "VIEW", "p1", "task", "1")).toBe(true)
    expect(await allows("eve", "VIEW", "p1", "task", "1")).toBe(false)
    expect(await allows("eve", "VIEW", null, "person", "x")).toBe(true)
    await db.sql`select authz.remove_member('builders', 'role:leads')`
    expect(await allows("ada", "VIEW", "p1", "task", "1")).toBe(false)
  })

  it("does not mean the log's own entities by any entity", async () => {
    await clear()
    await db.sql`select authz.grant_access('user:root', level => 'OWNER')`
    expect(await allows("root", "OWNER", "p1", "task", "1")).toBe(true)
    expect(await allows("root", "VIEW", null, "_grant", "1")).toBe(false)
    await db.sql`select authz.grant_access('user:root', entity => '_grant', level => 'VIEW')`
    expect(await allows("root", "VIEW", null, "_grant", "1")).toBe(true)
  })

  it("ends with a grant's expiry, before anybody deletes it", async () => {
    await clear()
    await db.sql`insert into authz.grants (principal, scope, level, expires_at) values ('user:ada', 'p1', 'VIEW', now() - interval '1 s'), ('user:ada', 'p2', 'VIEW', now() + interval '1 h')`
    expect(await allows("ada", "VIEW", "p1", "task", "1")).toBe(false)
    expect(await allows("ada", "VIEW", "p2", "task", "1")).toBe(true)
    await db.events()
    expect(await db.sql`select authz.expire() as gone`).toEqual([{ gone: 1 }])
    expect(await db.events()).toMatchObject([{ entity: "_grant", op: "DELETE", before: { scope: "p1" } }])
  })

  property("agrees with the patterns that clients and edges use", 8, async (random) => {
    await clear()
    const users = ["ada", "grace", "linus"]
    const roles = ["a", "b", "c"]
    const part = (values: ReadonlyArray<string>) => (random.chance(0.4) ? null : random.pick(values))
    const scopes = ["p1", "p.2", ""]
    const entities = ["task", "note"]
    const ids = ["1", "*", "x y"]
    const members = random.list(6, () => ({ role: random.pick(roles), member: random.chance(0.5) ? `user:${random.pick(users)}` : `role:${random.pick(roles)}` }))
    for (const { role, member } of members) await db.sql`select authz.add_member(${role}, ${member})`.catch(() => undefined)
    for (let i = random.int(8); i > 0; i--) {
      const principal = random.pick(["everyone", ...users.map((u) => `user:${u}`), ...roles.map((r) => `role:${r}`)])
      await db.sql`select authz.grant_access(${principal}, ${part(scopes)}, ${part(entities)}, ${part(ids)}, ${random.pick(LEVELS)})`
    }
    const grants = (await db.sql`select to_json(g) as row from authz.grants g`).map(({ row }) => Schema.decodeUnknownSync(GrantRow)(row))
    const edges = (await db.sql`select to_json(m) as row from authz.members m`).map(({ row }) => Schema.decodeUnknownSync(MemberRow)(row))
    for (const user of users) {
      const who = new Set(["everyone", `user:${user}`])
      for (let grew = true; grew;) {
        const size = who.size
        for (const { role, member } of edges) if (who.has(member)) who.add(`role:${role}`)
        grew = who.size > size
      }
      for (const scope of [...scopes, null]) {
        for (const entity of [...entities, "_grant"]) {
          for (const id of ids) {
            const level = random.pick(LEVELS)
            const expected = grants.some((g) => who.has(g.principal) && levelAtLeast(g.level, level) && matches({ scope: g.scope, entity: g.entity, id: g.entity_id }, { scope, entity, id }))
            expect({ user, level, scope, entity, id, yes: await allows(user, level, scope, entity, id) }).toEqual({ user, level, scope, entity, id, yes: expected })
          }
        }
      }
    }
  })
})

describe("changing access", () => {
  it("is in the log, granting once more as an update at the same address", async () => {
    await clear()
    await db.events()
    await db.sql.begin(async (tx) => {
      await tx`set local tide.user_id = 'root'`
      await tx`select authz.grant_access('user:ada', scope => 'p1', level => 'VIEW')`
      await tx`select authz.grant_access('user:ada', scope => 'p1', level => 'OWNER', expires_at => '2099-01-01 00:00+00')`
      await tx`select authz.add_member('editors', 'ada')`
    })
    expect(await db.sql`select authz.revoke_access('user:ada', scope => 'p1') as was, authz.revoke_access('user:ada', scope => 'p1') as again`).toEqual([{ was: true, again: false }])
    const [granted, changed, member, revoked] = await db.events()
    expect(granted).toMatchObject({ entity: "_grant", scope: null, op: "INSERT", user_id: "root", after: { principal: "user:ada", scope: "p1", entity: null, entity_id: null, level: "VIEW", expires_at: null, granted_by: "root" } })
    expect(changed).toMatchObject({ op: "UPDATE", entity_id: granted!.entity_id, after: { level: "OWNER", expires_at: "2099-01-01T00:00:00+00:00" }, before: { level: "VIEW" } })
    expect(granted!.entity_id).toBe(granted!.after!["id"])
    expect(member).toMatchObject({ entity: "_member", entity_id: "editors,user:ada", after: { role: "editors", member: "user:ada" } })
    expect(revoked).toMatchObject({ op: "DELETE", entity_id: granted!.entity_id, before: { level: "OWNER" } })
  })

  it("keeps any and empty apart", async () => {
    await clear()
    await db.sql`select authz.grant_access('user:ada', scope => '', level => 'VIEW'), authz.grant_access('user:ada', entity_id => '', level => 'VIEW'), authz.grant_access('user:ada', level => 'VIEW')`
    expect(await db.sql`select count(distinct id)::int as ids from authz.grants`).toEqual([{ ids: 3 }])
  })

  it("refuses roles that go in a circle, however long, and whoever adds them", async () => {
    await clear()
    await db.sql`select authz.add_member('a', 'role:b'), authz.add_member('b', 'role:c'), authz.add_member('c', 'ada')`
    for (const query of ["select authz.add_member('c', 'role:a')", "select authz.add_member('d', 'role:d')", "insert into authz.members values ('b', 'role:a')", "update authz.members set member = 'role:a' where role = 'c'"]) {
      expect(await refusal(db.sql.unsafe(query))).toMatchObject({ hint: expect.stringContaining("circle") })
    }
  })

  it("refuses half a circle from each of two transactions", async () => {
    await clear()
    const [one, two] = [db.connect(), db.connect()]
    await one.begin(async (tx) => {
      await tx`select authz.add_member('x', 'role:y')`
      const other = refusal(two`select authz.add_member('y', 'role:x')`)
      await tx`select authz.add_member('z', 'ada')`
      return { other }
    }).then(async ({ other }) => expect(await other).toMatchObject({ hint: expect.stringContaining("circle") }))
  })

  it.each([
    ["select authz.grant_access('ada', level => 'VIEW')", "'ada' is not a principal", "user:<id>"],
    ["select authz.grant_access('user:', level => 'VIEW')", "'user:' is not a principal", "user:<id>"],
    ["select authz.grant_access(null, level => 'VIEW')", "null is not a principal", "user:<id>"],
    ["select authz.grant_access('user:ada', level => 'view')", "'view' is not a level", "VIEW, EDIT, SHARE, DELETE, CREATE, OWNER"],
    ["select authz.grant_access('user:ada')", "null is not a level", "VIEW, EDIT"],
    ["select authz.grant_access('user:ada', entity => 'Task', level => 'VIEW')", "'Task' is not an entity code", "tide.tracked"],
    ["select authz.grant_access('user:ada', level => 'VIEW', expires_at => '2001-01-01')", "would have expired", "to come"],
    ["select authz.revoke_access('editors')", "'editors' is not a principal", "role:<name>"],
    ["select authz.add_member('role:editors', 'ada')", "'role:editors' is not a role's name", "editors"],
    ["select authz.add_member('editors', 'everyone')", "'everyone' cannot be a member", "granted to everyone"],
    ["select authz.add_member('editors', null)", "null cannot be a member", "role:<name>"],
    ["select authz.allows('ada', 'READ', 'p1', 'task', '1')", "'READ' is not a level", "VIEW"],
  ])("refuses %s", async (query, message, hint) => {
    expect(await refusal(db.sql.unsafe(query))).toMatchObject({ message: expect.stringContaining(message), hint: expect.stringContaining(hint) })
  })
})
