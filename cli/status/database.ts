/** What Postgres tells of hop 1. */
import { Effect } from "effect"
import type { Sql } from "postgres"
import { query } from "../connect.ts"
import type { CommandFailed } from "../failure.ts"

interface TrackedTable {
  readonly entity: string
  readonly table: string
  readonly scope: string | null
}

export interface DatabaseFacts {
  /** `18.4`. */
  readonly version: string
  /** Whether some relay holds the lease: one that is awake or asleep, and works. */
  readonly relayHolds: boolean
  readonly tracked: ReadonlyArray<TrackedTable>
}

export const readDatabase = (sql: Sql): Effect.Effect<DatabaseFacts, CommandFailed> =>
  Effect.gen(function* () {
    const [server] = yield* query(() => sql<Array<{ version: string; relay: boolean }>>`
      select split_part(current_setting('server_version'), ' ', 1) as version, ${leaseHeld(sql)} as relay`)
    const tracked = yield* query(() => sql<Array<TrackedTable>>`
      select entity, table_name::text as "table", scope_column as scope from tide.tracked order by entity`)
    return { version: server!.version, relayHolds: server!.relay, tracked: [...tracked] }
  })

/** An advisory lock of one bigint key stands in pg_locks as its two halves. */
export const leaseHeld = (sql: Sql) => sql`exists (
  select from pg_locks l, (select tide.lease_key()::bigint as key) k
   where l.locktype = 'advisory' and l.granted and l.objsubid = 1
     and l.database = (select oid from pg_database where datname = current_database())
     and l.classid::bigint = (k.key >> 32) & 4294967295 and l.objid::bigint = k.key & 4294967295)`
