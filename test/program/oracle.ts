/** The truth, as Postgres has it: what a user may view of what they ask for, one query a client. It asks the tables, not Tideline's own rule. */
import type { Sql } from "#db/postgres.ts"
import type { Asked } from "./recording.ts"

/** `entity/id` → scope and row as canonical text. */
export const truthFor = async (sql: Sql, user: string, asked: ReadonlyArray<Asked>): Promise<ReadonlyMap<string, string>> => {
  const rows = await sql<Array<{ entity: string; id: string; scope: string | null; body: string }>>`
    with recursive who (principal) as (
      select ${`user:${user}`}
      union
      select 'role:' || m.role from who join authz.members m on m.member = who.principal),
    held as (
      select g.* from authz.grants g
      where (g.principal = 'everyone' or g.principal in (select principal from who)) and (g.expires_at is null or g.expires_at > clock_timestamp())),
    asked as (select * from jsonb_to_recordset(${JSON.stringify(asked)}::text::jsonb) as a (entity text, scopes jsonb, ids jsonb)),
    every (entity, scope, id, body) as (
      select 'card', scope, id, to_jsonb(c)::text from program.card c
      union all select 'line', scope, id, to_jsonb(l)::text from program.line l
      union all select 'notice', null, id, to_jsonb(n)::text from program.notice n
      union all select 'room', id, id, to_jsonb(r)::text from program.room r
      union all select 'tick', null, id::text, to_jsonb(t)::text from program.tick t
      union all select '_grant', null, id, to_jsonb(g)::text from authz.grants g
      union all select '_member', null, authz.member_id(role, member), to_jsonb(m)::text from authz.members m)
    select e.* from every e
    where exists (
      select from held g
      where (g.scope is null or g.scope = e.scope) and (g.entity = e.entity or g.entity is null and e.entity not like '\\_%') and (g.entity_id is null or g.entity_id = e.id))
    and exists (
      select from asked a
      where a.entity = e.entity and (a.scopes is null or a.scopes ? e.scope) and (a.ids is null or a.ids ? e.id))`
  return new Map(rows.map(({ entity, id, scope, body }) => [`${entity}/${id}`, `${scope} ${canonical(JSON.parse(body))}`]))
}

/** One text for equal rows. */
export const canonical = (row: unknown): string => JSON.stringify(Object.entries(row as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1)))

/** What differs, in words. */
export const differences = (is: ReadonlyMap<string, string>, truth: ReadonlyMap<string, string>): ReadonlyArray<string> => [
  ...[...truth].filter(([key]) => !is.has(key)).map(([key, row]) => `lacks ${key}: ${row}`),
  ...[...is].filter(([key]) => !truth.has(key)).map(([key, row]) => `should not have ${key}: ${row}`),
  ...[...truth].filter(([key, row]) => is.has(key) && is.get(key) !== row).map(([key, row]) => `has ${key} as ${is.get(key)}, it is ${row}`),
]
