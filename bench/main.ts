/** `npm run bench`: runs the benchmarks one after the other and shows each figure beside its floor. */
import { Cause, Effect, Exit, Fiber } from "effect"
import { writeFile } from "node:fs/promises"
import { parseArgs } from "node:util"
import { BENCHMARKS } from "./all.ts"
import type { Benchmark, Row } from "./benchmark.ts"
import { table } from "./table.ts"

/** The one whose load may be long. */
const LONG = "outbox.bloat"

const USAGE = `npm run bench [-- --only a,b] [--json FILE]

  --only a,b   only these: ${BENCHMARKS.flatMap((b) => b.names).join(", ")}
  --json FILE  also write [{name, unit, value, floor, ratio, note}]
  --minutes N  how long the load of ${LONG} lasts; a quarter of a minute unless told

floor is the bare library or server doing the same work in the same run; ratio is value by floor, the way round in which higher is better.`

interface Asked {
  readonly benchmarks: ReadonlyArray<Benchmark>
  readonly wanted: (name: string) => boolean
  readonly file: string | undefined
  readonly minutes: number | null
}

/** What the command line asks for, or what is wrong with it. */
const asked = (words: ReadonlyArray<string>): Asked | string => {
  let values: { only?: string | undefined; json?: string | undefined; minutes?: string | undefined; help?: boolean | undefined }
  try {
    values = parseArgs({ args: [...words], options: { only: { type: "string" }, json: { type: "string" }, minutes: { type: "string" }, help: { type: "boolean", short: "h" } } }).values
  } catch (error) {
    return `${(error as Error).message}\n\n${USAGE}`
  }
  if (values.help === true) return USAGE
  const known = BENCHMARKS.flatMap((b) => b.names)
  const only = values.only?.split(",").map((name) => name.trim()).filter((name) => name !== "")
  const unknown = only?.find((name) => !known.includes(name))
  if (unknown !== undefined) return `There is no benchmark "${unknown}".\n\n${USAGE}`
  const minutes = values.minutes === undefined ? null : Number(values.minutes)
  if (minutes !== null && !(minutes > 0 && minutes <= MINUTES_MOST)) return `--minutes is a number above 0 and at most ${MINUTES_MOST}, not "${values.minutes}".\n\n${USAGE}`
  const wanted = (name: string): boolean => only === undefined || only.includes(name)
  return { benchmarks: BENCHMARKS.filter((b) => b.names.some(wanted)), wanted, file: values.json, minutes }
}

/** A day. */
const MINUTES_MOST = 24 * 60

const say = (text: string): void => console.error(text)

const runAll = ({ benchmarks, wanted, minutes }: Asked): Effect.Effect<{ readonly rows: ReadonlyArray<Row>; readonly failed: number }> =>
  Effect.gen(function* () {
    const rows: Array<Row> = []
    let failed = 0
    for (const [i, benchmark] of benchmarks.entries()) {
      const title = `[${i + 1}/${benchmarks.length}] ${benchmark.names.join(", ")}`
      say(title)
      const started = Date.now()
      const exit = yield* Effect.exit(Effect.scoped(benchmark.run((text) => say(`      ${text}`), minutes)))
      if (Exit.isSuccess(exit)) {
        rows.push(...exit.value.filter((row) => wanted(row.name)))
        say(`      done in ${((Date.now() - started) / 1000).toFixed(0)} s`)
      } else if (Cause.hasInterruptsOnly(exit.cause)) {
        return yield* Effect.interrupt
      } else {
        failed++
        say(`${title} failed: ${Cause.pretty(exit.cause)}`)
      }
    }
    return { rows, failed }
  })

const main = async (): Promise<number> => {
  const what = asked(process.argv.slice(2))
  if (typeof what === "string") {
    console.log(what)
    return what === USAGE ? 0 : 2
  }
  const fiber = Effect.runFork(runAll(what))
  const stop = () => void Effect.runFork(Fiber.interrupt(fiber))
  process.once("SIGINT", stop)
  process.once("SIGTERM", stop)
  const exit = await Effect.runPromise(Fiber.await(fiber))
  if (!Exit.isSuccess(exit)) return 130
  console.log(table(exit.value.rows))
  if (what.file !== undefined) await writeFile(what.file, `${JSON.stringify(exit.value.rows, null, 2)}\n`)
  return exit.value.failed === 0 ? 0 : 1
}

process.exitCode = await main()
