/** Two-phase commit: prepared, left for a while, then committed or rolled back, by whoever finds it. */
import type { Sql } from "#db/postgres.ts"
import type { Writer } from "./writer.ts"

export const preparedWriter = (name: string): Writer => ({
  name,
  every: 700,
  once: async ({ sql, random, pause, next, acknowledged }) => {
    const transaction = next()
    await sql.unsafe("begin")
    try {
      await sql`select set_config('tide.mutation_id', ${transaction}, true)`
      for (let i = random.int(3); i >= 0; i--) {
        const id = 100 + random.int(20)
        await sql`insert into fault.item values (${id}, 'two-phase', 1) on conflict (id) do update set v = item.v + 1`
      }
      await sql.unsafe(`prepare transaction '${transaction}'`)
    } catch (cause) {
      await sql.unsafe("rollback").catch(() => undefined)
      throw cause
    }
    await pause(random.int(600))
    const commits = random.chance(0.8)
    await sql.unsafe(`${commits ? "commit" : "rollback"} prepared '${transaction}'`)
    if (commits) acknowledged(transaction)
  },
  tidy: async (sql: Sql) => {
    await sql.unsafe("rollback")
    const left = await sql<Array<{ gid: string }>>`select gid from pg_prepared_xacts where gid like ${`${name}:%`}`
    for (const { gid } of left) await sql.unsafe(`commit prepared '${gid}'`)
  },
})
