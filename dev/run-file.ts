/**
 * TIDELINE_DATA/run.json says what runs from this data folder: for `tideline status`, and for the next start, should this one be
 * killed together with its watchdog. A process is known by its number and by when it began, as numbers are used again. The same pair
 * is the lock that keeps two starts apart.
 */
import { Effect, Schema } from "effect"
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { readValue, writeWhole } from "./data-file.ts"
import { DevError, reasonOf } from "./errors.ts"
import { beganAt, endProcess, isAlive } from "./processes.ts"

export const RunProcess = Schema.Struct({
  name: Schema.String,
  /** Null while it is not running. */
  pid: Schema.NullOr(Schema.Int),
  began: Schema.NullOr(Schema.String),
  port: Schema.NullOr(Schema.Int),
  /** Where /healthz, /readyz and /metrics are. */
  observePort: Schema.NullOr(Schema.Int),
})
export type RunProcess = typeof RunProcess.Type

const RunFile = Schema.Struct({
  supervisor: Schema.Struct({ pid: Schema.Int, began: Schema.NullOr(Schema.String) }),
  /** The superuser's and the operator's addresses, passwords included. */
  databaseUrl: Schema.String,
  natsUrl: Schema.String,
  ports: Schema.Struct({ web: Schema.Int, edges: Schema.Array(Schema.Int) }),
  processes: Schema.Array(RunProcess),
})
export type RunFile = typeof RunFile.Type

const runFile = (dataDir: string): string => join(dataDir, "run.json")

export const writeRunFile = (dataDir: string, run: RunFile): void => writeWhole(runFile(dataDir), run)
export const removeRunFile = (dataDir: string): void => rmSync(runFile(dataDir), { force: true })

const readRunFile = (dataDir: string): RunFile | null => {
  const decoded = Schema.decodeUnknownOption(RunFile)(readValue(runFile(dataDir)))
  return decoded._tag === "Some" ? decoded.value : null
}

const isTheSame = (pid: number, began: string | null): boolean => isAlive(pid) && (began === null || beganAt(pid) === began)

/** Milliseconds for a left-over process to end by itself. */
const GRACE_MS = 15_000

/** Takes the data folder for this process until the scope closes, and ends what an earlier start left behind in it. */
export const takeDataFolder = (dataDir: string) =>
  Effect.gen(function* () {
    yield* Effect.try({
      try: () => mkdirSync(dataDir, { recursive: true, mode: 0o700 }),
      catch: (cause) => new DevError({ message: `TIDELINE_DATA: the folder ${dataDir} cannot be made: ${reasonOf(cause)}.`, hint: "Set TIDELINE_DATA to a folder that can be written." }),
    })
    yield* Effect.acquireRelease(lock(dataDir), () => Effect.sync(() => rmSync(lockFile(dataDir), { force: true })))
    const left = readRunFile(dataDir)
    const ended: Array<string> = []
    // The latest started goes first: services before the servers they use.
    for (const { name, pid, began } of (left?.processes ?? []).toReversed()) {
      if (pid === null || !isTheSame(pid, began)) continue
      yield* endProcess(pid, name === "postgres" ? "SIGINT" : "SIGTERM", GRACE_MS)
      ended.push(name)
    }
    removeRunFile(dataDir)
    return ended
  })

const lockFile = (dataDir: string): string => join(dataDir, "start.lock")

const Lock = Schema.Struct({ pid: Schema.Int, began: Schema.NullOr(Schema.String) })

const lock = (dataDir: string): Effect.Effect<void, DevError> =>
  Effect.suspend(() => {
    const held = Schema.decodeUnknownOption(Lock)(readValue(lockFile(dataDir)))
    if (held._tag === "Some" && held.value.pid !== process.pid && isTheSame(held.value.pid, held.value.began)) {
      return Effect.fail(
        new DevError({
          message: `Tideline already runs with the data in ${dataDir} (process ${held.value.pid}).`,
          hint: "Stop it first, or start this one beside it with its own TIDELINE_DATA, TIDELINE_PORT and TIDELINE_EDGE_PORTS.",
        }),
      )
    }
    writeWhole(lockFile(dataDir), { pid: process.pid, began: beganAt(process.pid) })
    return Effect.void
  })
