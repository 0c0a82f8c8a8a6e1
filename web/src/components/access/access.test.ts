/** Principals, words and changes of the administrator's page, without a page. */
import { describe, expect, it } from "vitest"
import type { AccessChange } from "#protocol/access-change.ts"
import type { GrantRow, MemberRow } from "../../data/entities.ts"
import { property } from "#test/support/random.ts"
import { inverse, isDone } from "./changes.ts"
import { principalsOf, search } from "./principals.ts"
import { grantWords } from "./use-access-log.ts"
import type { Names } from "./words.ts"
import { onWords, ownWords, placeWords, principalName, whatWords } from "./words.ts"

const names: Names = { person: (id) => (id === "ada" ? "Ada Lovelace" : id), project: (id) => (id === "p1" ? "Ferry booking" : null), task: (id) => (id === "7" ? "Paint it" : null) }
const grant = (over: Partial<GrantRow> = {}): GrantRow => ({ id: "g", principal: "user:ada", scope: null, entity: null, entity_id: null, level: "EDIT", expires_at: null, granted_by: null, granted_at: "", ...over })

describe("who can be granted something", () => {
  const members: ReadonlyArray<MemberRow> = [{ role: "editors", member: "user:bob", added_by: null, added_at: "" }, { role: "editors", member: "role:authors", added_by: null, added_at: "" }]
  const all = principalsOf([{ id: "ada" }], [grant(), grant({ principal: "role:staff" })], members, (id) => principalName(id, names))

  it("is everybody whom a person row, a grant or a membership names, once", () => {
    expect(all.map((one) => `${one.kind} ${one.name} ${one.members}`)).toEqual(["user Ada Lovelace 0", "role authors 0", "user bob 0", "role editors 2", "everyone Everyone 0", "role staff 0"])
  })

  it("is found by any part of name or id, and whoever is not there yet can be named", () => {
    expect(search(all, "love").found.map((one) => one.id)).toEqual(["user:ada"])
    expect(search(all, "zoe")).toMatchObject({ found: [], fresh: [{ id: "user:zoe" }, { id: "role:zoe" }] })
    expect(search(all, "editors").fresh.map((one) => one.id)).toEqual(["user:editors"])
    expect(search(all, "  ").fresh).toEqual([])
  })
})

describe("words", () => {
  it("say where, what, and how it comes", () => {
    expect(onWords({ scope: "p1", entity: "task", entityId: null }, names)).toBe("tasks in Ferry booking")
    expect(onWords({ scope: null, entity: null, entityId: null }, names)).toBe("everything everywhere")
    expect(onWords({ scope: null, entity: "_grant", entityId: null }, names)).toBe("grants")
    expect(whatWords({ scope: "p1", entity: "task", entityId: "7" }, names)).toBe("Task “Paint it”")
    expect(whatWords({ scope: "p1", entity: "task", entityId: "9" }, names)).toBe("Task “9”")
    expect([placeWords("p1", null, names), placeWords("p9", null, names), placeWords(null, "task", names), placeWords(null, "_member", names)]).toEqual(["Ferry booking", "p9", "Everywhere", "Who may do what"])
    expect([ownWords("everyone", "user:ada"), ownWords("user:ada", "user:ada")]).toEqual(["because everyone has it", "own grant"])
    expect(grantWords(grant({ level: "VIEW" }), grant(), names)).toBe("changed Ada Lovelace from Edit to View on everything everywhere")
  })
})

describe("a change", () => {
  /** What the server would hold after it. */
  const apply = (change: AccessChange, grants: ReadonlyArray<GrantRow>, members: ReadonlyArray<MemberRow>): readonly [ReadonlyArray<GrantRow>, ReadonlyArray<MemberRow>] => {
    if (change.type === "grant" || change.type === "revoke") {
      const rest = grants.filter((row) => row.principal !== change.principal || row.scope !== change.scope || row.entity !== change.entity || row.entity_id !== change.entityId)
      const { principal, scope, entity, entityId } = change
      return [change.type === "revoke" ? rest : [...rest, grant({ principal, scope, entity, entity_id: entityId, level: change.level, expires_at: change.expiresAt?.replace(".000Z", "+00:00") ?? null })], members]
    }
    if (change.type === "sign-out") return [grants, members]
    const rest = members.filter((row) => row.role !== change.role || row.member !== change.member)
    return [grants, change.type === "leave" ? rest : [...rest, { role: change.role, member: change.member, added_by: null, added_at: "" }]]
  }
  const content = (grants: ReadonlyArray<GrantRow>, members: ReadonlyArray<MemberRow>) =>
    [...grants.map((row) => JSON.stringify([row.principal, row.scope, row.entity, row.entity_id, row.level, row.expires_at])), ...members.map((row) => `${row.role} ${row.member}`)].sort()

  property("is seen to be done when it is, and its undoing puts back what was there", 300, (random) => {
    const place = () => ({ principal: random.pick(["user:ada", "role:r"]), scope: random.pick([null, "p1"]), entity: random.pick([null, "task"]), entityId: null })
    const wish = (): AccessChange => {
      const dice = random.next()
      if (dice < 0.4) return { id: "c", type: "grant", ...place(), level: random.pick(["VIEW", "EDIT"] as const), expiresAt: random.pick([null, "2099-01-01T00:00:00.000Z"]) }
      if (dice < 0.6) return { id: "c", type: "revoke", ...place() }
      return { id: "c", type: dice < 0.8 ? "join" : "leave", role: random.pick(["r", "s"]), member: "user:ada" }
    }
    let held: readonly [ReadonlyArray<GrantRow>, ReadonlyArray<MemberRow>] = [[], []]
    for (let i = 0; i < 5; i++) held = apply(wish(), ...held)
    const change = wish()
    const before = { grants: held[0], members: held[1] }
    const undo = inverse(change, before, "u")
    const after = apply(change, ...held)
    expect(isDone(change, { grants: after[0], members: after[1] })).toBe(true)
    const isSame = JSON.stringify(content(...after)) === JSON.stringify(content(...held))
    expect(isDone(change, before)).toBe(isSame)
    expect(content(...(undo === null ? after : apply(undo, ...after)))).toEqual(content(...held))
  })
})
