/** The rival of an outbox that is only added to: one whose rows are marked when they are published, by a poller. It publishes nothing here. */
import postgres from "postgres"
import { setTimeout as after } from "node:timers/promises"
import { serve } from "./worker.ts"

const BATCH = 1_000
const PAUSE_MS = 10
let stopped = false
let polling: Promise<void> = Promise.resolve()

const jobs = {
  /** Marks what is not marked in a table with `id` and `published`, until it is stopped. */
  start: ({ url, table }: { readonly url: string; readonly table: string }): void => {
    const sql = postgres(url, { max: 1 })
    const poll = async (): Promise<void> => {
      for (;;) {
        const marked = await sql.unsafe(
          `update ${table} set published = true where id in (select id from ${table} where not published order by id limit ${BATCH} for update skip locked)`, [], { prepare: true })
        if (marked.count > 0) continue
        if (stopped) break
        await after(PAUSE_MS)
      }
      await sql.end()
    }
    polling = poll()
    polling.catch(() => {})
  },
  /** Resolves when everything is marked and its session has ended. */
  stop: async (): Promise<void> => {
    stopped = true
    await polling
  },
}
export type FlagsJobs = typeof jobs

serve(jobs)
