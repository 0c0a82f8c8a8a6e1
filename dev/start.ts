/**
 * `npm start`: Tideline whole, on this machine. Starts it (`stack.ts`), says how to sign in, and stays until it is told to stop:
 * Ctrl-C, SIGTERM, or the end of the process that started it. A second Ctrl-C does not wait for anything to finish.
 */
import { Cause, Effect, Exit } from "effect"
import { relative } from "node:path"
import { configProblemLine } from "#observe/config-error.ts"
import { startConfig } from "./config.ts"
import { DevError } from "./errors.ts"
import { makeScreen } from "./screen.ts"
import { runStack } from "./stack.ts"

const screen = makeScreen()

/** A terminal and npm may both pass on one Ctrl-C: what comes within this many milliseconds is the same one. */
const SAME_MS = 1_000

const stopAsked = Effect.callback<void>((resume) => {
  let first = 0
  const stop = (): void => {
    if (first === 0) {
      first = Date.now()
      resume(Effect.void)
    } else if (Date.now() - first > SAME_MS) {
      // The watchdog ends what is left.
      process.exit(130)
    }
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop)
  process.once("disconnect", stop)
})

const program = Effect.gen(function* () {
  const config = yield* startConfig
  screen.line("\nTideline\n")
  let ready = false
  const run = Effect.gen(function* () {
    const stack = yield* runStack({ ...config, durable: true }, screen)
    ready = true
    screen.line(`\nready ${stack.webUrl}\n`)
    if (config.demo) screen.line("  Open the page and choose a person to sign in as: ada may do everything, the others less.")
    else screen.line("  Open the page and sign in with a token of your issuer.")
    screen.line("  npx tideline status shows every hop. Ctrl-C stops everything and keeps the data.\n")
    return yield* Effect.never
  })
  yield* Effect.raceFirst(
    Effect.scoped(run),
    Effect.tap(stopAsked, () => Effect.sync(() => screen.line(ready ? "\n  … stopping" : "\n  … stopping before it was ready"))),
  )
  const near = relative(process.cwd(), config.dataDir)
  screen.line(`  ✓ stopped; the data is in ${near === "" || near.startsWith("..") ? config.dataDir : near}`)
})

const report = (cause: Cause.Cause<unknown>): void => {
  const error = Cause.squash(cause)
  const setting = configProblemLine(error)
  if (setting !== null) console.error(`\n${setting}`)
  else if (error instanceof DevError) console.error(`\n${error.message}${error.hint === "" ? "" : `\n→ ${error.hint}`}`)
  else console.error(`\nTideline ended in an unexpected way: ${Cause.pretty(cause)}`)
}

const exit = await Effect.runPromiseExit(program)
if (Exit.isFailure(exit)) report(exit.cause)
process.exit(Exit.isSuccess(exit) ? 0 : 1)
