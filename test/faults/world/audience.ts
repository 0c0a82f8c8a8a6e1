/**
 * Those for whom it is all done: clients at edges, with authz and the command service behind them, each service with a link of its own to
 * nats-server. They read, write, come and go without rest (test/program/), and what they were shown is compared at every check.
 */
import { setTimeout as after } from "node:timers/promises"
import type { Sql } from "#db/postgres.ts"
import type { Nats } from "#nats/connection.ts"
import type { Log } from "#nats/log.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import type { Front } from "../../program/front.ts"
import { makeFront } from "../../program/front.ts"
import type { Counts } from "../../program/judge.ts"
import type { Findings } from "../../program/program.ts"
import { openProgram } from "../../program/program.ts"
import { TABLES } from "../../program/tables.ts"

export interface Audience {
  readonly front: Front
  /** Resolves when none of them writes; none does until `goOn`. */
  readonly standStill: () => Promise<void>
  readonly goOn: () => void
  /** What is wrong with what they were shown. They must stand still. `anew`: the log lost something. */
  readonly check: (anew: boolean) => Promise<Findings>
  readonly counts: () => Counts & { readonly steps: number }
  /** Every service runs again and every link is good. */
  readonly heal: () => Promise<void>
  readonly stop: () => Promise<void>
}

export interface AudiencePlace {
  readonly seed: number
  readonly postgres: TestPostgres
  readonly server: TestNats
  readonly sql: Sql
  readonly nats: Nats
  readonly log: Log
}

/** Milliseconds between two steps: some hundred a second, so that there is always something under way, and room for everything else. */
const PACE_MS = 6
/** How often, of 1, those who are away are called back for a check. */
const EVERYBODY = 0.25

/** The tables must not be there yet. */
export const openAudience = async ({ seed, postgres, server, sql, nats, log }: AudiencePlace): Promise<Audience> => {
  await sql.unsafe(TABLES)
  const front = await makeFront({ postgres, nats: server, edges: 2, authz: 2, linked: true })
  await Promise.all(front.all.map((station) => station.start()))
  await Promise.all(front.all.map((station) => station.ready()))
  const program = await openProgram({ seed, databaseUrl: postgres.url(), sql, nats, log, front, trouble: [], faulty: true })
  let still = true
  let running: Promise<void> = Promise.resolve()
  let checks = 0
  const standStill = async (): Promise<void> => {
    still = true
    await running
    await program.quiet()
  }
  const run = async (): Promise<void> => {
    while (!still) {
      await program.step()
      await after(PACE_MS)
    }
  }
  const goOn = (): void => {
    if (!still) return
    still = false
    running = run()
  }
  const heal = async (): Promise<void> => {
    for (const station of front.all) {
      station.link?.release()
      station.link?.mend()
      station.resume()
      await station.start()
    }
  }
  return {
    front,
    standStill,
    goOn,
    check: (anew) => program.checkpoint({ everybody: anew || ++checks % Math.round(1 / EVERYBODY) === 0, anew }),
    counts: () => ({ ...program.counts(), steps: program.steps() }),
    heal,
    stop: async () => {
      still = true
      await Promise.race([running, after(2_000)])
      await program.close()
      await front.close()
    },
  }
}
