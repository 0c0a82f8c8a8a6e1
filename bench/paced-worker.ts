/** A writer in a process of its own that keeps to a rate, each statement a transaction of its own, and notes when each commit returned. */
import postgres from "postgres"
import { setTimeout as after } from "node:timers/promises"
import { clockMs } from "./clock.ts"
import { serve } from "./worker.ts"

export interface Pace {
  readonly url: string
  /** One statement: `$1` is the transaction's number, from `from` on; `$2` an id from 1 to `ids`. */
  readonly statement: string
  readonly ids: number
  readonly from: number
  readonly perSecond: number
  readonly seconds: number
}

export interface Paced {
  /** `clockMs()` at which the commit of number `from + i` had returned. */
  readonly committed: Float64Array
  /** Transactions a second, which is less than asked for where Postgres was slower. */
  readonly perSecond: number
}

const CONNECTIONS = 16
let connections: Array<postgres.Sql> = []

const jobs = {
  /** Each transaction comes at a random moment of its slot, so that nothing falls into step with it. */
  write: async ({ url, statement, ids, from, perSecond, seconds }: Pace): Promise<Paced> => {
    if (connections.length === 0) {
      connections = Array.from({ length: CONNECTIONS }, () => postgres(url, { max: 1 }))
      await Promise.all(connections.map((sql) => sql`select 1`))
    }
    const count = Math.round(perSecond * seconds)
    const committed = new Float64Array(count)
    const running: Array<Promise<void>> = []
    const started = clockMs()
    for (let i = 0; i < count; i++) {
      const due = started + ((i + Math.random()) * 1000) / perSecond
      const early = due - clockMs()
      if (early > 0.5) await after(early)
      const sql = connections[i % CONNECTIONS]!
      running.push(sql.unsafe(statement, [from + i, 1 + (i % ids)], { prepare: true }).then(() => void (committed[i] = clockMs())))
    }
    await Promise.all(running)
    return { committed, perSecond: count / ((clockMs() - started) / 1000) }
  },
}
export type PacedJobs = typeof jobs

serve(jobs)
