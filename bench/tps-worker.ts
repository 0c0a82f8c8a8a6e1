/** The driver for machines without pgbench: so many connections, each with one statement under way at a time. */
import postgres from "postgres"
import type { Load } from "./tps.ts"
import { serve } from "./worker.ts"

const jobs = {
  tps: async (load: Load): Promise<number> => {
    const text = load.statement.replaceAll(":id", "$1")
    const connections = Array.from({ length: load.clients }, () => postgres(load.url, { max: 1 }))
    await Promise.all(connections.map((sql) => sql`select 1`))
    const started = performance.now()
    const end = started + load.seconds * 1000
    let done = 0
    await Promise.all(connections.map(async (sql) => {
      for (; performance.now() < end; done++) await sql.unsafe(text, [1 + Math.floor(Math.random() * load.ids)], { prepare: true })
    }))
    const tps = done / ((performance.now() - started) / 1000)
    await Promise.all(connections.map((sql) => sql.end()))
    return tps
  },
}
export type TpsJobs = typeof jobs

serve(jobs)
