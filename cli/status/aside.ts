/** What the relay set aside because it fits no message. */
import { Effect } from "effect"
import type { Sql } from "postgres"
import { query } from "../connect.ts"
import type { CommandFailed } from "../failure.ts"

export interface Aside {
  readonly entity: string
  readonly id: string
  readonly scope: string | null
  /** Changes of it that wait. */
  readonly changes: number
  /** ISO 8601: when the first was set aside. */
  readonly since: string
  /** Why the first was. */
  readonly reason: string
}

/** An entry for each address that is held, the oldest first. */
export const readAside = (sql: Sql): Effect.Effect<ReadonlyArray<Aside>, CommandFailed> =>
  query(() => sql<Array<Aside>>`
    select entity, entity_id as id, scope, count(*)::int as changes,
      to_char(min(at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since, (array_agg(reason order by outbox_id))[1] as reason
    from tide.set_aside where freed_by is null group by entity, entity_id, scope order by min(outbox_id)`)
