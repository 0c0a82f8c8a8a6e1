/** Promise 1, computed the second way: one SQL query for all that a user may see of the demo workspace. */
import type { Sql } from "postgres"

export const mayView = async (sql: Sql, user: string): Promise<Map<string, unknown>> => {
  const rows = await sql<Array<{ key: string; data: unknown }>>`
    select 'project|' || id as key, to_jsonb(t) as data from app.project t where authz.allows(${user}, 'VIEW', id, 'project', id)
    union all
    select 'task|' || id, to_jsonb(t) from app.task t where authz.allows(${user}, 'VIEW', project_id, 'task', id::text)
    union all
    select 'comment|' || id, to_jsonb(t) from app.comment t where authz.allows(${user}, 'VIEW', project_id, 'comment', id::text)
    union all
    select 'person|' || id, to_jsonb(t) from app.person t where authz.allows(${user}, 'VIEW', null, 'person', id)`
  return new Map(rows.map(({ key, data }) => [key, data]))
}
