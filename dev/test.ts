/**
 * `npm test`: the linter, the type checkers, then every test there is: unit, live, end to end, browser. The last line is `N passed, N failed`,
 * counted from Vitest's own report; a check that finds something counts as one failure. Arguments go to Vitest, for a run of a part.
 */
import { Effect, Schema } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeScreen } from "./screen.ts"
import { ROOT } from "./services.ts"
import { countTests, Report } from "./test-report.ts"

const screen = makeScreen()
const only = process.argv.slice(2)

const modules = join(ROOT, "node_modules")
const CHECKS: ReadonlyArray<readonly [title: string, script: string, ...args: ReadonlyArray<string>]> = [
  ["lint (oxlint)", join(modules, "oxlint", "bin", "oxlint"), "--quiet"],
  ["dead files and stray dependencies (knip)", join(modules, "knip", "bin", "knip.js"), "--include", "files,dependencies,unlisted,unresolved,binaries"],
  ["types (tsc)", join(modules, "typescript", "bin", "tsc"), "-p", "."],
  ["types of the web app (vue-tsc)", join(modules, "vue-tsc", "bin", "vue-tsc.js"), "-p", "web", "--noEmit"],
]

let current: ChildProcess | null = null

/** Runs a Node program to its end. `show`: its output goes to the screen as it comes. */
const run = (args: ReadonlyArray<string>, show: boolean): Effect.Effect<{ readonly code: number; readonly output: string }> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [...args], { cwd: ROOT, stdio: ["ignore", show ? "inherit" : "pipe", show ? "inherit" : "pipe"] })
    current = child
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => (output += chunk.toString()))
    child.once("error", (error) => resume(Effect.succeed({ code: 1, output: error.message })))
    child.once("close", (code) => resume(Effect.succeed({ code: code ?? 1, output })))
  })

const check = ([title, ...command]: (typeof CHECKS)[number]): Effect.Effect<boolean> =>
  screen
    .step(title, run(command, false).pipe(Effect.flatMap(({ code, output }) => (code === 0 ? Effect.succeed(true) : Effect.fail(output.trim())))))
    .pipe(Effect.catch((output) => Effect.sync(() => screen.line(`\n${output}\n`)).pipe(Effect.as(false))))

const vitest = Effect.acquireUseRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "tideline-test-report-"))),
  (folder) =>
    Effect.gen(function* () {
      const path = join(folder, "report.json")
      const { code } = yield* run([join(modules, "vitest", "vitest.mjs"), "run", "--reporter=default", "--reporter=json", `--outputFile.json=${path}`, ...only], true)
      const report = yield* Effect.try(() => readFileSync(path, "utf8")).pipe(Effect.flatMap(Schema.decodeUnknownEffect(Schema.fromJsonString(Report))), Effect.option)
      return countTests(report._tag === "Some" ? report.value : null, code)
    }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true })),
)

const program = Effect.gen(function* () {
  screen.line("\nTideline's tests\n")
  const checks = only.length > 0 ? [] : CHECKS
  const found = yield* Effect.forEach(checks, check)
  screen.line("")
  const counted = yield* vitest
  const failed = counted.failed + found.filter((good) => !good).length
  screen.line(`\n${counted.passed} passed, ${failed} failed`)
  return failed === 0 && counted.passed > 0 ? 0 : 1
})

// A Ctrl-C reaches the program under way by itself, and the run ends with it; what is sent to us alone we pass on.
process.on("SIGINT", () => undefined)
const stop = (): void => void current?.kill("SIGTERM")
process.on("SIGTERM", stop).once("disconnect", stop)
process.exitCode = await Effect.runPromise(program)
if (process.connected) process.disconnect()
