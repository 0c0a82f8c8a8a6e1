/** A migrated Postgres with a connection to it, and what its outbox says: for the live tests of db/. */
import postgres from "postgres"
import { migratedPostgres } from "./servers.ts"
import type { TestPostgres } from "./servers.ts"

export interface OutboxRow {
  readonly id: string
  readonly xid: string
  readonly entity: string
  readonly entity_id: string
  readonly scope: string | null
  readonly op: "INSERT" | "UPDATE" | "DELETE" | "READ"
  readonly after: Readonly<Record<string, unknown>> | null
  readonly before: Readonly<Record<string, unknown>> | null
  readonly user_id: string | null
  readonly mutation_id: string | null
}

export interface TestDatabase {
  readonly server: TestPostgres
  /** As superuser. */
  readonly sql: postgres.Sql
  /** Another connection, of a role if named. */
  readonly connect: (role?: string) => postgres.Sql
  /** The outbox rows written since the last call, in the order of their ids. */
  readonly events: (entity?: string) => Promise<ReadonlyArray<OutboxRow>>
  readonly stop: () => Promise<void>
}

export const openDatabase = async (options: { readonly demo?: boolean } = {}): Promise<TestDatabase> => {
  const server = await migratedPostgres(options)
  const opened: Array<postgres.Sql> = []
  const connect = (role?: string): postgres.Sql => {
    const sql = postgres(server.url(role), { max: 1, onnotice: () => undefined })
    opened.push(sql)
    return sql
  }
  const sql = connect()
  let read = "0"
  const events = async (entity?: string): Promise<ReadonlyArray<OutboxRow>> => {
    const rows = await sql<Array<OutboxRow>>`select * from tide.outbox where id > ${read}::bigint order by id`
    read = rows.at(-1)?.id ?? read
    return entity === undefined ? rows : rows.filter((row) => row.entity === entity)
  }
  await events()
  return {
    server,
    sql,
    connect,
    events,
    stop: async () => {
      await Promise.all(opened.map((each) => each.end({ timeout: 1 })))
      await server.stop()
    },
  }
}

/** What a reader holds that applied the rows in order: address → newest image. */
export const fold = (rows: Iterable<OutboxRow>, held = new Map<string, unknown>()): Map<string, unknown> => {
  for (const row of rows) {
    const address = JSON.stringify([row.scope, row.entity, row.entity_id])
    if (row.op === "DELETE") held.delete(address)
    else held.set(address, row.after)
  }
  return held
}

/** The SQLSTATE, message and hint with which a query fails; a query that succeeds fails the test. */
export const refusal = async (query: PromiseLike<unknown>): Promise<{ code: string; message: string; hint: string | undefined }> => {
  try {
    await query
  } catch (error) {
    const { code, message, hint } = error as { code: string; message: string; hint?: string }
    return { code, message, hint }
  }
  throw new Error("the query should have been refused")
}
