/** authz.change: who may change whose access, what is refused and in which words, and what it leaves in the log. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import type postgres from "postgres"
import type { Level, Pattern } from "#protocol/grant.ts"
import { LEVELS, covers, levelAtLeast, patternKey } from "#protocol/grant.ts"
import { openDatabase } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { property } from "#test/support/random.ts"

let db: TestDatabase
let command: postgres.Sql
beforeAll(async () => {
  db = await openDatabase()
  command = db.connect("tide_command")
})
afterAll(() => db.stop())

let next = 0
const change = async (user: string, wish: unknown): Promise<Readonly<Record<string, unknown>>> => {
  const [row] = await command<Array<{ result: Readonly<Record<string, unknown>> }>>`select authz.change(${JSON.stringify(wish)}::text::jsonb, ${user}) as result`
  return row!.result
}
interface Where {
  readonly scope?: string
  readonly entity?: string
  readonly entityId?: string
}
const at = (where: Where) => ({ scope: where.scope ?? null, entity: where.entity ?? null, entityId: where.entityId ?? null })
const grant = (user: string, principal: string, level: string, where: Where = { scope: "p1" }, expiresAt: string | null = null) =>
  change(user, { id: `c${next++}`, type: "grant", principal, ...at(where), level, expiresAt })
const revoke = (user: string, principal: string, where: Where = { scope: "p1" }) => change(user, { id: `c${next++}`, type: "revoke", principal, ...at(where) })
const join = (user: string, role: string, member: string) => change(user, { id: `c${next++}`, type: "join", role, member })
const leave = (user: string, role: string, member: string) => change(user, { id: `c${next++}`, type: "leave", role, member })

const applied = { status: "applied" }
const denied = { status: "denied", message: "no such thing, or not allowed" }
const invalid = (message: string) => ({ status: "invalid", message: expect.stringContaining(message) as string })

const held = async (principal: string, where: Where = { scope: "p1" }): Promise<Level | null> => {
  const { scope, entity, entityId } = at(where)
  const [row] = await db.sql<Array<{ level: Level }>>`select level from authz.grants
    where principal = ${principal} and scope is not distinct from ${scope} and entity is not distinct from ${entity} and entity_id is not distinct from ${entityId}`
  return row?.level ?? null
}
const given = (principal: string, level: string, where: Where = { scope: "p1" }, expires: string | null = null) => {
  const { scope, entity, entityId } = at(where)
  return db.sql`select authz.grant_access(${principal}, ${scope}, ${entity}, ${entityId}, ${level}, ${expires})`
}
const soon = (seconds: number): string => new Date(Date.now() + seconds * 1_000).toISOString()

const clear = async (): Promise<void> => {
  await db.sql`delete from authz.grants; delete from authz.members; delete from authz.sign_outs`.simple()
  await db.events()
}
beforeEach(clear)

describe("granting", () => {
  it.each(LEVELS)("takes a grant of SHARE or above, and gives no more than it: who has %s", async (level) => {
    await given("user:ada", level)
    const may = LEVELS.indexOf(level) >= LEVELS.indexOf("SHARE")
    for (const wanted of LEVELS) {
      expect(await grant("ada", `user:${wanted}`, wanted)).toMatchObject(may && LEVELS.indexOf(wanted) <= LEVELS.indexOf(level) ? applied : denied)
      expect(await held(`user:${wanted}`)).toBe(may && LEVELS.indexOf(wanted) <= LEVELS.indexOf(level) ? wanted : null)
    }
  })

  it("is as good through a role, a role in a role, or everyone's grant as through one's own", async () => {
    await db.sql`select authz.add_member('leads', 'ada'), authz.add_member('builders', 'role:leads')`
    await given("role:builders", "DELETE")
    await given("everyone", "SHARE", { scope: "p2" })
    expect(await grant("ada", "user:bob", "DELETE")).toMatchObject(applied)
    expect(await grant("bob", "role:guests", "SHARE", { scope: "p2" })).toMatchObject(applied)
    expect(await grant("ada", "everyone", "VIEW")).toMatchObject(applied)
    expect(await grant("eve", "user:eve", "VIEW")).toMatchObject(denied)
  })

  it("reaches no wider than the one grant it rests on: not more scopes, types, ids, nor the sum of several", async () => {
    await given("user:ada", "OWNER", { scope: "p1", entity: "task" })
    await given("user:ada", "OWNER", { scope: "p1", entity: "note" })
    expect(await grant("ada", "user:bob", "VIEW", { scope: "p1", entity: "task", entityId: "1" })).toMatchObject(applied)
    expect(await grant("ada", "user:bob", "VIEW", { scope: "p1", entity: "task" })).toMatchObject(applied)
    for (const wider of [{ scope: "p1" }, { entity: "task" }, { entity: "task", entityId: "1" }, { scope: "p1", entityId: "1" }, { scope: "p2", entity: "task" }, {}])
      expect(await grant("ada", "user:bob", "VIEW", wider)).toMatchObject(denied)
    await given("user:ada", "OWNER", { entity: "task", entityId: "1" })
    expect(await grant("ada", "user:bob", "VIEW", { entity: "task", entityId: "1" })).toMatchObject(applied)
    expect(await grant("ada", "user:bob", "VIEW", { scope: "p2", entity: "task", entityId: "1" })).toMatchObject(applied)
  })

  it("in every scope takes a grant in every scope: one for what has no scope there is not", async () => {
    await given("user:ada", "OWNER", { scope: "p1" })
    await given("user:root", "OWNER", {})
    expect(await grant("ada", "user:bob", "VIEW", { entity: "person" })).toMatchObject(denied)
    expect(await grant("root", "user:bob", "VIEW", { entity: "person" })).toMatchObject(applied)
    const allows = await db.sql`select authz.allows('bob', 'VIEW', null, 'person', 'x') as without, authz.allows('bob', 'VIEW', 'p9', 'person', 'x') as within`
    expect(allows).toEqual([{ without: true, within: true }])
  })

  it("takes level, pattern and time from one grant, not each from another", async () => {
    await given("user:ada", "OWNER", { scope: "p1", entity: "task" })
    await given("user:ada", "SHARE", { scope: "p1" })
    await given("user:ada", "OWNER", { scope: "p1", entity: "task", entityId: "1" }, soon(60))
    expect(await grant("ada", "user:bob", "OWNER")).toMatchObject(denied)
    expect(await grant("ada", "user:bob", "SHARE")).toMatchObject(applied)
    expect(await grant("ada", "user:bob", "OWNER", { scope: "p1", entity: "task", entityId: "1" })).toMatchObject(applied)
  })

  it("does not outlive the grant it rests on, whatever its level, and says until when", async () => {
    const end = soon(3_600)
    await given("user:ada", "OWNER", { scope: "p1" }, end)
    for (const level of ["VIEW", "OWNER"]) {
      expect(await grant("ada", "user:bob", level)).toMatchObject(invalid(`outlive your own access, which ends at ${end.slice(0, 19)}`))
      expect(await grant("ada", "user:bob", level, { scope: "p1" }, soon(3_700))).toMatchObject(invalid("outlive"))
    }
    expect(await grant("ada", "user:ada", "OWNER")).toMatchObject(invalid("outlive"))
    expect(await grant("ada", "user:bob", "OWNER", { scope: "p1" }, end)).toMatchObject(applied)
    await given("user:ada", "SHARE", { scope: "p1", entity: "task" })
    expect(await grant("ada", "user:bob", "SHARE", { scope: "p1", entity: "task" })).toMatchObject(applied)
    expect(await grant("ada", "user:bob", "EDIT", { scope: "p1", entity: "task" }, soon(7_200))).toMatchObject(applied)
    expect(await grant("ada", "user:carl", "DELETE", { scope: "p1", entity: "task" })).toMatchObject(invalid("outlive"))
  })

  it("rests on nothing that has ended: an expired grant, a membership that is no more", async () => {
    await db.sql`insert into authz.grants (principal, scope, level, expires_at) values ('user:ada', 'p1', 'OWNER', now() - interval '1 ms')`
    expect(await grant("ada", "user:bob", "VIEW")).toMatchObject(denied)
    await db.sql`select authz.add_member('leads', 'ada'), authz.add_member('builders', 'role:leads')`
    await given("role:builders", "OWNER")
    expect(await grant("ada", "user:bob", "VIEW")).toMatchObject(applied)
    await db.sql`select authz.remove_member('builders', 'role:leads')`
    expect(await grant("ada", "user:carl", "VIEW")).toMatchObject(denied)
    expect(await revoke("ada", "user:bob")).toMatchObject(denied)
  })

  it("on the log's own entities takes a grant that names them", async () => {
    await given("user:root", "OWNER", {})
    for (const entity of ["_grant", "_member", "_sign_out", "_entity"]) {
      expect(await grant("root", "user:root", "OWNER", { entity })).toMatchObject(denied)
      expect(await grant("root", "user:root", "VIEW", { entity, entityId: "x" })).toMatchObject(denied)
    }
    await given("user:root", "SHARE", { entity: "_grant" })
    expect(await grant("root", "user:bob", "VIEW", { entity: "_grant" })).toMatchObject(applied)
    expect(await grant("root", "user:bob", "OWNER", { entity: "_grant" })).toMatchObject(denied)
    expect(await grant("root", "user:bob", "VIEW", { entity: "_member" })).toMatchObject(denied)
  })
})

describe("replacing and taking back", () => {
  it("touches no grant that gives more than one's own does", async () => {
    await given("user:owner", "OWNER")
    await given("user:ada", "SHARE")
    expect(await grant("ada", "user:owner", "VIEW")).toMatchObject(denied)
    expect(await revoke("ada", "user:owner")).toMatchObject(denied)
    expect(await held("user:owner")).toBe("OWNER")
    expect(await revoke("owner", "user:ada")).toMatchObject(applied)
    expect(await held("user:ada")).toBeNull()
  })

  it("takes back what gives as much, whoever gave it", async () => {
    await given("user:ada", "SHARE")
    await given("user:bob", "SHARE")
    await given("everyone", "VIEW")
    expect(await grant("ada", "user:bob", "VIEW")).toMatchObject(applied)
    expect(await held("user:bob")).toBe("VIEW")
    expect(await revoke("bob", "everyone")).toMatchObject(denied)
    expect(await revoke("ada", "everyone")).toMatchObject(applied)
    expect(await revoke("ada", "user:ada")).toMatchObject(applied)
    expect(await revoke("ada", "user:bob")).toMatchObject(denied)
  })

  it("of a grant that has expired asks nothing: it gives nothing", async () => {
    await given("user:ada", "SHARE")
    await db.sql`insert into authz.grants (principal, scope, level, expires_at) values ('user:bob', 'p1', 'OWNER', now() - interval '1 ms'), ('user:carl', 'p1', 'OWNER', now() - interval '1 ms')`
    expect(await grant("ada", "user:bob", "VIEW")).toMatchObject(applied)
    expect(await revoke("ada", "user:carl")).toMatchObject(applied)
    expect(await held("user:bob")).toBe("VIEW")
  })

  it("rests on a grant that ends, too: what is taken back does not last", async () => {
    await given("user:ada", "OWNER", { scope: "p1" }, soon(60))
    await given("user:bob", "OWNER")
    expect(await revoke("ada", "user:bob")).toMatchObject(applied)
  })

  it("answers in the same words whether there was such a grant or not", async () => {
    await given("user:bob", "VIEW", { scope: "hidden" })
    const [one, other] = [await revoke("eve", "user:bob", { scope: "hidden" }), await revoke("eve", "user:bob", { scope: "nothing" })]
    expect({ ...one, id: "" }).toEqual({ ...other, id: "" })
    const [replace, make] = [await grant("eve", "user:bob", "VIEW", { scope: "hidden" }), await grant("eve", "user:bob", "VIEW", { scope: "nothing" })]
    expect({ ...replace, id: "" }).toEqual({ ...make, id: "" })
    expect({ ...replace, id: "" }).toEqual({ ...one, id: "" })
    await given("user:ada", "SHARE", { scope: "p1" })
    expect(await revoke("ada", "user:nobody")).toMatchObject(applied)
  })

  it("never takes down a grant that somebody raises at the same time", async () => {
    await given("user:ada", "SHARE")
    const other = db.connect()
    await other.begin(async (tx) => {
      await tx`select authz.grant_access('user:bob', scope => 'p1', level => 'OWNER')`
      const late = grant("ada", "user:bob", "VIEW")
      await waits(1)
      return { late }
    }).then(async ({ late }) => expect(await late).toMatchObject(denied))
    expect(await held("user:bob")).toBe("OWNER")
  })
})

/** Until so many sessions wait for a lock. */
const waits = async (sessions: number): Promise<void> => {
  for (;;) {
    const [row] = await db.sql<Array<{ waiting: number }>>`select count(distinct pid)::int as waiting from pg_locks where not granted`
    if (row!.waiting >= sessions) return
  }
}

describe("roles", () => {
  it("are joined and left by leave of who may edit memberships, all of them or this one", async () => {
    expect(await join("ada", "builders", "user:bob")).toMatchObject(denied)
    await given("user:root", "OWNER", {})
    expect(await join("root", "builders", "user:bob")).toMatchObject(denied)
    await given("user:ada", "EDIT", { entity: "_member" })
    await given("user:bob", "EDIT", { entity: "_member", entityId: "a\\,b,user:carl" })
    expect(await join("ada", "builders", "user:bob")).toMatchObject(applied)
    expect(await join("ada", "builders", "user:bob")).toMatchObject(applied)
    expect(await join("ada", "all", "role:builders")).toMatchObject(applied)
    expect(await join("bob", "a,b", "user:carl")).toMatchObject(applied)
    expect(await join("bob", "a", "user:carl")).toMatchObject(denied)
    expect(await db.sql`select role, member, added_by from authz.members order by role`).toEqual([
      { role: "a,b", member: "user:carl", added_by: "bob" }, { role: "all", member: "role:builders", added_by: "ada" }, { role: "builders", member: "user:bob", added_by: "ada" }])
    expect(await leave("ada", "builders", "user:bob")).toMatchObject(applied)
    expect(await leave("ada", "builders", "user:nobody")).toMatchObject(applied)
    expect(await leave("carl", "all", "role:builders")).toMatchObject(denied)
  })

  it("do not go in a circle, which is said", async () => {
    await given("user:ada", "EDIT", { entity: "_member" })
    expect(await join("ada", "a", "role:b")).toMatchObject(applied)
    expect(await join("ada", "b", "role:c")).toMatchObject(applied)
    expect(await join("ada", "c", "role:a")).toMatchObject(invalid("inside it already"))
    expect(await join("ada", "a", "role:a")).toMatchObject(invalid("inside it already"))
    expect(await join("eve", "c", "role:a")).toMatchObject(denied)
  })
})

describe("signing out", () => {
  const signOut = (by: string, user: string, session: string | null) => change(by, { id: `c${next++}`, type: "sign-out", user, session })
  it("is for oneself, and for who may edit sign-outs", async () => {
    expect(await signOut("ada", "ada", null)).toMatchObject(applied)
    expect(await signOut("ada", "ada", "s1")).toMatchObject(applied)
    expect(await signOut("ada", "bob", null)).toMatchObject(denied)
    await given("user:root", "OWNER", {})
    expect(await signOut("root", "bob", null)).toMatchObject(denied)
    await given("user:root", "EDIT", { entity: "_sign_out" })
    expect(await signOut("root", "bob", "s2")).toMatchObject(applied)
    expect(await db.sql`select user_id, session, signed_out_by from authz.sign_outs order by signed_out_at`).toEqual([
      { user_id: "ada", session: null, signed_out_by: "ada" }, { user_id: "ada", session: "s1", signed_out_by: "ada" }, { user_id: "bob", session: "s2", signed_out_by: "root" }])
  })

  it("of one user may be granted by the id of the row", async () => {
    await db.sql`select authz.sign_out('bob')`
    const [row] = await db.sql<Array<{ id: string }>>`delete from authz.sign_outs returning id`
    await given("user:ada", "EDIT", { entity: "_sign_out", entityId: row!.id })
    expect(await signOut("ada", "bob", null)).toMatchObject(applied)
    expect(await signOut("ada", "bob", "s1")).toMatchObject(denied)
  })
})

describe("in the log", () => {
  it("stands who did it, how, and by which change", async () => {
    await given("user:ada", "OWNER")
    await given("user:ada", "OWNER", { entity: "_member" })
    await db.events()
    await db.sql.begin(async (tx) => {
      await tx`set local tide.endpoint = '/v1/access'`
      await tx`select authz.change(${JSON.stringify({ id: "by ada", type: "grant", principal: "user:bob", ...at({ scope: "p1" }), level: "EDIT", expiresAt: null })}::text::jsonb, 'ada')`
      await tx`select authz.grant_access('user:carl', scope => 'p1', level => 'VIEW')`
    })
    await join("ada", "builders", "user:bob")
    await revoke("ada", "user:bob")
    const [granted, other, joined, revoked] = await db.events()
    expect(granted).toMatchObject({ entity: "_grant", op: "INSERT", user_id: "ada", mutation_id: "by ada", endpoint: "/v1/access", after: { principal: "user:bob", scope: "p1", level: "EDIT", granted_by: "ada" } })
    expect(other).toMatchObject({ user_id: null, mutation_id: null, after: { principal: "user:carl", granted_by: null } })
    expect(joined).toMatchObject({ entity: "_member", op: "INSERT", user_id: "ada", after: { added_by: "ada" } })
    expect(revoked).toMatchObject({ entity: "_grant", op: "DELETE", user_id: "ada", before: { principal: "user:bob" } })
  })

  it("stands a repeat once, though the first has made it impossible; and nothing that was refused", async () => {
    await given("user:ada", "SHARE")
    await db.events()
    const own = { id: "twice", type: "revoke", principal: "user:ada", ...at({ scope: "p1" }) }
    expect(await change("ada", own)).toMatchObject(applied)
    expect(await change("ada", own)).toMatchObject(applied)
    expect(await change("bob", own)).toMatchObject(denied)
    expect(await db.events()).toHaveLength(1)
    expect(await grant("ada", "user:ada", "VIEW")).toMatchObject(denied)
    expect(await change("ada", { id: "again", type: "join", role: "r", member: "user:ada" })).toMatchObject(denied)
    expect(await db.events()).toHaveLength(0)
    await given("user:ada", "EDIT", { entity: "_member" })
    expect(await change("ada", { id: "again", type: "join", role: "r", member: "user:ada" })).toMatchObject(applied)
  })
})

describe("what is no change of access is invalid", () => {
  const whole = { id: "x", type: "grant", principal: "user:bob", scope: null, entity: null, entityId: null, level: "VIEW", expiresAt: null }
  it.each<[unknown, string]>([
    [null, "a JSON object"], [[], "a JSON object"], [{}, "id is missing"], [{ id: "x" }, "type is grant"], [{ id: "x", type: "own" }, "type is grant"],
    [{ id: "y".repeat(201), type: "revoke" }, "longer than 200"], [{ id: "x", type: "revoke", principal: "user:bob" }, "scope, entity and entityId must be said"],
    [{ ...whole, expiresAt: undefined }, "expiresAt must be said"], [{ ...whole, scope: 1 }, "the fields are texts"], [{ ...whole, principal: null }, "null is not a principal"],
    [{ ...whole, principal: "bob" }, "'bob' is not a principal"], [{ ...whole, level: "READ" }, "'READ' is not a level"], [{ ...whole, level: null }, "null is not a level"],
    [{ ...whole, entity: "Task" }, "'Task' is not an entity code"], [{ ...whole, entity: "_epoch" }, "'_epoch' is not an entity code"], [{ ...whole, scope: "ü".repeat(400) }, "scope too long"],
    [{ ...whole, expiresAt: "tomorrow" }, "expiresAt is an instant"], [{ ...whole, expiresAt: "infinity" }, "expiresAt is an instant"], [{ ...whole, expiresAt: "2099-02-31T00:00:00Z" }, "out of range"],
    [{ ...whole, expiresAt: "2001-01-01T00:00:00Z" }, "would have expired"],
    [{ id: "x", type: "join", role: "r" }, "member is user"], [{ id: "x", type: "join", role: "r", member: "everyone" }, "member is user"], [{ id: "x", type: "leave", role: "role:r", member: "user:a" }, "not a role's name"],
    [{ id: "x", type: "sign-out", user: "ada" }, "session must be said"], [{ id: "x", type: "sign-out", user: "ada", session: "" }, "not a session"],
  ])("%j", async (wish, message) => {
    await given("user:ada", "OWNER", {})
    expect(await change("ada", wish)).toMatchObject(invalid(message))
    expect(await db.events("_member")).toHaveLength(0)
  })
})

/** The same rules a second time, over what the tables held at first. */
class Model {
  readonly grants = new Map<string, { readonly principal: string; readonly pattern: Pattern; readonly level: Level; readonly until: number }>()
  readonly members = new Set<string>()

  put(principal: string, pattern: Pattern, level: Level, until: number): void {
    this.grants.set(`${principal} ${patternKey(pattern)}`, { principal, pattern, level, until })
  }
  /** Everybody a principal counts as; of roles, what they are in. */
  who(principal: string): ReadonlySet<string> {
    const all = new Set(["everyone", principal])
    for (const one of all) for (const edge of this.members) if (edge.endsWith(`<${one}`)) all.add(`role:${edge.slice(0, edge.indexOf("<"))}`)
    return all
  }
  covering(user: string, pattern: Pattern) {
    const who = this.who(`user:${user}`)
    return [...this.grants.values()].filter((g) => who.has(g.principal) && g.until > Date.now() && covers(g.pattern, pattern))
  }
  change(user: string, principal: string, pattern: Pattern, given: Level | null, until: number): string {
    const needed = given !== null && levelAtLeast(given, "SHARE") ? given : "SHARE"
    const enough = this.covering(user, pattern).filter((g) => levelAtLeast(g.level, needed))
    if (enough.length === 0) return "denied"
    const lasting = enough.filter((g) => given === null || g.until >= until)
    if (lasting.length === 0) return "invalid"
    const there = this.grants.get(`${principal} ${patternKey(pattern)}`)
    if (there !== undefined && there.until > Date.now() && !lasting.some((g) => levelAtLeast(g.level, there.level))) return "denied"
    if (given === null) this.grants.delete(`${principal} ${patternKey(pattern)}`)
    else this.put(principal, pattern, given, until)
    return "applied"
  }
  join(user: string, role: string, member: string, into: boolean): string {
    if (!this.covering(user, { scope: null, entity: "_member", id: `${role},${member}` }).some((g) => levelAtLeast(g.level, "EDIT"))) return "denied"
    if (into && this.who(`role:${role}`).has(member)) return "invalid"
    if (into) this.members.add(`${role}<${member}`)
    else this.members.delete(`${role}<${member}`)
    return "applied"
  }
}

describe("whatever users do to each other's access", () => {
  property("nobody holds what nobody could have given, and each answer is the rule's", 15, async (random) => {
    await clear()
    const model = new Model()
    const users = ["ada", "bob", "eve"]
    const roles = ["a", "b", "c"]
    const principals = ["everyone", ...users.map((u) => `user:${u}`), ...roles.map((r) => `role:${r}`)]
    const begun = Date.now()
    const times = [begun - 1_000, begun + 3_600_000, begun + 7_200_000, Number.POSITIVE_INFINITY]
    const pattern = (): Pattern => {
      const entity = random.pick([null, null, "task", "note", "_member", "_grant"])
      return { scope: random.pick([null, "p1", "p1", "p2"]), entity, id: random.pick([null, null, "1", entity === "_member" ? "a,user:bob" : "2"]) }
    }
    const time = (until: number): string | null => (until === Number.POSITIVE_INFINITY ? null : new Date(until).toISOString())
    for (let i = 0; i < 12; i++) {
      // Each shares p1, and somebody may change roles; the others are of any kind, and some of a kind that those may not touch.
      const [principal, p, level, until] = i < 3 ? [`user:${users[i]!}`, { scope: "p1", entity: null, id: null }, "SHARE" as const, Number.POSITIVE_INFINITY]
        : [random.pick(principals), i === 3 ? { scope: null, entity: "_member", id: null } : { ...pattern(), ...(i < 8 ? { scope: "p1" } : {}) }, random.pick(["VIEW", ...LEVELS.slice(2)] as const), random.pick(times)]
      model.put(principal, p, level, until)
      await db.sql`insert into authz.grants (principal, scope, entity, entity_id, level, expires_at) values (${principal}, ${p.scope}, ${p.entity}, ${p.id}, ${level}, ${time(until)})
        on conflict (id) do update set level = excluded.level, expires_at = excluded.expires_at`
    }
    const atFirst = [...model.grants.values()]
    for (let step = 0; step < 80; step++) {
      const user = random.pick(users)
      const wish = `by ${user}, step ${step}`
      if (random.chance(0.25)) {
        const [role, into, member] = [random.pick(roles), random.chance(0.6), random.pick([...users.map((u) => `user:${u}`), ...roles.map((r) => `role:${r}`)])]
        const result = await (into ? join : leave)(user, role, member)
        expect({ wish, role, member, into, is: result["status"] }).toEqual({ wish, role, member, into, is: model.join(user, role, member, into) })
        continue
      }
      // Often something that there is, or within it.
      const { principal: holder, pattern: wide } = random.pick([...model.grants.values(), { principal: "everyone", pattern: pattern() }])
      const principal = random.chance(0.4) ? holder : random.pick(principals)
      const within = pattern()
      const p = random.chance(0.6) ? wide : { scope: wide.scope ?? within.scope, entity: wide.entity ?? within.entity, id: wide.id ?? within.id }
      const given = random.chance(0.7) ? random.pick([...LEVELS, "VIEW", "EDIT", "SHARE"] as const) : null
      const until = random.pick(times.slice(1))
      const where = { ...(p.scope === null ? {} : { scope: p.scope }), ...(p.entity === null ? {} : { entity: p.entity }), ...(p.id === null ? {} : { entityId: p.id }) }
      const result = given === null ? await revoke(user, principal, where) : await grant(user, principal, given, where, time(until))
      expect({ wish, principal, p, given, until, is: result["status"] }).toEqual({ wish, principal, p, given, until, is: model.change(user, principal, p, given, until) })
    }
    const rows = await db.sql<Array<{ principal: string; scope: string | null; entity: string | null; id: string | null; level: Level; until: Date | null }>>`
      select principal, scope, entity, entity_id as id, level, expires_at as until from authz.grants`
    const ended = new Map(rows.map(({ principal, scope, entity, id, level, until }) => [`${principal} ${patternKey({ scope, entity, id })}`, { principal, pattern: { scope, entity, id }, level, until: until?.getTime() ?? Number.POSITIVE_INFINITY }]))
    expect(ended).toEqual(model.grants)
    expect(new Set((await db.sql<Array<{ role: string; member: string }>>`select role, member from authz.members`).map(({ role, member }) => `${role}<${member}`))).toEqual(model.members)
    // Whatever rests on what, in the end it rests on something that was there at first: no wider, no higher, no longer.
    const underived = [...ended.values()].filter((one) => !atFirst.some((g) => covers(g.pattern, one.pattern) && levelAtLeast(g.level, one.level) && g.until >= one.until))
    expect(underived).toEqual([])
  })
})
