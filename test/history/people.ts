/**
 * Who watches the history, what they were granted, and the truth about it computed a second way: one SQL query a person. Grants here have no
 * expiry and roles no roles inside, so the query is a join; what it says is checked against the replicas, not against tide's own rule.
 */
import type { Sql } from "postgres"

export interface Grant {
  /** An area, or null: every area. */
  readonly scope: string | null
  /** A path, or null: every file. */
  readonly path: string | null
}

export interface Person {
  readonly name: string
  readonly grants: ReadonlyArray<Grant>
  readonly roles: ReadonlyArray<string>
}

export const ROLE = "compiler-team"
export const ROLE_GRANTS: ReadonlyArray<Grant> = [{ scope: "packages/compiler-core", path: null }, { scope: "packages/compiler-dom", path: null }]

const area = (scope: string): Grant => ({ scope, path: null })

export const PEOPLE: ReadonlyArray<Person> = [
  { name: "everything", grants: [{ scope: null, path: null }], roles: [] },
  { name: "runtime", grants: [area("packages/runtime-core"), area("packages/runtime-dom")], roles: [] },
  { name: "compiler", grants: [area("packages/shared")], roles: [ROLE] },
  { name: "one-file", grants: [{ scope: null, path: "packages/runtime-core/src/renderer.ts" }, area("package.json")], roles: [] },
  { name: "mixed", grants: [area("packages/reactivity"), { scope: "packages/vue", path: "packages/vue/package.json" }], roles: [ROLE] },
  { name: "nothing-yet", grants: [], roles: [] },
]

/** Areas that grants and revocations in between are about: busy early, late and throughout. */
export const AREAS = ["packages/core", "packages/runtime-core", "packages/compiler-core", "packages/compiler-sfc", "packages/reactivity", "packages/server-renderer", ".github/workflows", "CHANGELOG.md"]

export const giveAccess = async (sql: Sql, principal: string, grant: Grant): Promise<void> =>
  void (await sql`select authz.grant_access(principal => ${principal}, scope => ${grant.scope}, entity => 'file', entity_id => ${grant.path}, level => 'VIEW')`)

export const takeAccess = async (sql: Sql, principal: string, grant: Grant): Promise<void> =>
  void (await sql`select authz.revoke_access(principal => ${principal}, scope => ${grant.scope}, entity => 'file', entity_id => ${grant.path})`)

/** What each file that the person may view must look like in their replica, by path. */
export const truthFor = async (sql: Sql, name: string): Promise<ReadonlyMap<string, string>> => {
  const rows = await sql<Array<{ path: string; row: string }>>`
    select f.path, to_jsonb(f)::text as row
      from app.file f
     where exists (
       select from authz.grants g
        where (g.scope is null or g.scope = f.area) and (g.entity is null or g.entity = 'file') and (g.entity_id is null or g.entity_id = f.path)
          and (g.principal in ('everyone', ${`user:${name}`})
               or g.principal in (select 'role:' || m.role from authz.members m where m.member = ${`user:${name}`})))`
  return new Map(rows.map(({ path, row }) => [path, canonical(JSON.parse(row))]))
}

/** One text for equal rows. */
export const canonical = (row: unknown): string =>
  JSON.stringify(Object.entries(row as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1)))
