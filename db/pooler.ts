/**
 * Poolers between us and Postgres (PgBouncer, Odyssey, …). In transaction mode each transaction may be another server's session: nothing
 * that is set, prepared, locked or listened for there stays. Poolers give their clients process ids of their own to cancel with; by that
 * they are known.
 */
import type postgres from "postgres"
import { POOLER_ROUNDS } from "#protocol/limits.ts"

/** The process that serves this query, and the one that the connection was told of when it was opened. */
const whoServes = async (sql: postgres.Sql): Promise<{ readonly pid: number; readonly told: number }> => {
  // Without arguments it is the simple protocol: nothing is prepared.
  const rows = await sql.unsafe<[{ pid: number }]>("select pg_backend_pid() as pid")
  return { pid: rows[0].pid, told: rows.state.pid }
}

/** Whether something stands between that speaks for Postgres. */
export const behindPooler = async (sql: postgres.Sql): Promise<boolean> => {
  const { pid, told } = await whoServes(sql)
  return pid !== told
}

/**
 * Whether a pooler lends the server's sessions to both connections in turn. In session mode each keeps its own. Others that use the
 * pooler meanwhile make a shared session seem to move, which shows the same.
 */
export const shareSessions = async (one: postgres.Sql, other: postgres.Sql): Promise<boolean> => {
  const { pid } = await whoServes(one)
  for (let round = 0; round < POOLER_ROUNDS; round++) {
    if ((await whoServes(other)).pid === pid || (await whoServes(one)).pid !== pid) return true
  }
  return false
}
