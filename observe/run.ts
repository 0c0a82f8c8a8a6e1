/**
 * How every service begins and ends.
 *
 * - SIGTERM, SIGINT: the program's scope closes (graceful), exit 0.
 * - The program ends by itself: exit 0. It fails: one line that says why, exit 1. A setting is wrong: `VARIABLE: what it should be`, exit 1.
 * - With TIDELINE_SUPERVISED=1 standard input is a pipe that the supervisor holds open. When it ends the supervisor is gone, however it
 *   went, and the service stops as for SIGTERM: no orphans.
 * - A stop that takes longer than STOP_DEADLINE_MS is cut off with exit 1.
 */
// By its own path: the index beside it loads HTTP clients and servers, which took a service seconds to start.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit } from "effect"
import type { Scope } from "effect"
import { STOP_DEADLINE_MS } from "#protocol/limits.ts"
import { configProblemLine } from "./config-error.ts"
import { logLayer } from "./log.ts"

/** Runs `program` as the process: it acquires what it needs in its scope and lives until it is interrupted. */
export const runService = <E>(service: string, program: Effect.Effect<unknown, E, Scope.Scope>): void => {
  const whole = Effect.raceFirst(Effect.scoped(program), supervisorGone).pipe(
    Effect.tapCause((cause) => report(service, cause)),
    Effect.provide(logLayer(service)),
    // What is left here is a wrong TIDELINE_LOG_LEVEL, or what was reported already.
    Effect.tapError((error) => Effect.sync(() => printConfigProblem(error))),
  )
  limitStop()
  NodeRuntime.runMain(whole, {
    disableErrorReporting: true,
    teardown: (exit, onExit) => {
      const code = Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1
      onExit(code)
      // The runtime leaves a success without a signal to an empty event loop; an ended service must not depend on that.
      process.exit(code)
    },
  })
}

const printed = new WeakSet<object>()

/** The line of a wrong setting, once. */
const printConfigProblem = (error: unknown): boolean => {
  const line = configProblemLine(error)
  if (line === null) return false
  if (!printed.has(error as object)) console.error(line)
  printed.add(error as object)
  return true
}

const report = (service: string, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.void
  const error = Cause.squash(cause)
  if (printConfigProblem(error)) return Effect.void
  const hint = typeof error === "object" && error !== null && "hint" in error ? { hint: String(error.hint) } : {}
  return Effect.logError(`${service} ends: ${error instanceof Error ? error.message : String(error)}`, cause).pipe(Effect.annotateLogs(hint))
}

/** Succeeds when the supervisor's pipe ends; never where nobody supervises. */
const supervisorGone: Effect.Effect<void> = Effect.suspend(() => {
  if (process.env["TIDELINE_SUPERVISED"] !== "1") return Effect.never
  return Effect.callback<void>((resume) => {
    const gone = () => {
      limitedStop()
      resume(Effect.void)
    }
    // Its end of our output is gone as well: writing there must not end us before the scope has closed.
    process.stdout.on("error", () => {})
    process.stderr.on("error", () => {})
    process.stdin.once("end", gone).once("close", gone).once("error", gone).resume()
    return Effect.sync(() => {
      process.stdin.off("end", gone).off("close", gone).off("error", gone).pause()
      process.stdin.unref()
    })
  })
})

const limitStop = (): void => {
  process.once("SIGTERM", limitedStop)
  process.once("SIGINT", limitedStop)
}

const limitedStop = (): void => {
  setTimeout(() => {
    console.error(`not stopped after ${STOP_DEADLINE_MS} ms: cut off`)
    process.exit(1)
  }, STOP_DEADLINE_MS).unref()
}
