/**
 * Transactions a second that Postgres takes from many clients. `pgbench` where the machine has it, for it costs least beside the server;
 * else a driver of ours in a process of its own. The note of a row says which.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { BenchFailed } from "./benchmark.ts"
import type { TpsJobs } from "./tps-worker.ts"
import { startWorker } from "./worker.ts"

const run = promisify(execFile)

export interface Load {
  readonly url: string
  /** One statement with `:id`, a random number from 1 to `ids`. */
  readonly statement: string
  readonly ids: number
  readonly clients: number
  readonly seconds: number
}

export interface Driver {
  readonly name: string
  readonly tps: (load: Load) => Effect.Effect<number, BenchFailed>
}

export const tpsDriver: Effect.Effect<Driver, BenchFailed, Scope.Scope> = Effect.gen(function* () {
  const there = yield* Effect.promise(() => run("pgbench", ["--version"]).then(() => true, () => false))
  if (there) return { name: "pgbench", tps: pgbench }
  const worker = yield* startWorker<TpsJobs>(new URL("./tps-worker.ts", import.meta.url))
  return { name: "postgres.js", tps: (load) => worker.ask("tps", load) }
})

const pgbench = (load: Load): Effect.Effect<number, BenchFailed> =>
  Effect.acquireUseRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "tideline-bench-"))),
    (folder) =>
      Effect.tryPromise({
        try: async () => {
          const script = join(folder, "script.sql")
          await writeFile(script, `\\set id random(1, ${load.ids})\n${load.statement};\n`)
          const { stdout } = await run("pgbench", ["-n", "-M", "prepared", "-c", String(load.clients), "-j", "1", "-T", String(load.seconds), "-f", script, load.url])
          return Number(/tps = ([\d.]+)/.exec(stdout)![1])
        },
        catch: (cause) => new BenchFailed({ message: `pgbench: ${String(cause)}`, hint: "Is DATABASE_URL reachable?" }),
      }),
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true })),
  )
