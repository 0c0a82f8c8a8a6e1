/** `npm run faults`: see ask.ts for what it takes, run.ts for what it does. */
import { writeFile } from "node:fs/promises"
import { Effect } from "effect"
import { readHistory } from "../../demo/history/commits.ts"
import { asked, USAGE } from "./ask.ts"
import type { Asked } from "./ask.ts"
import { allChecks } from "./checks/all.ts"
import { asJson, faultLine, promisesOf, report, totalChecks } from "./report.ts"
import { KINDS } from "./kinds/all.ts"
import { runFaults } from "./run.ts"

const out = process.stdout
const live = out.isTTY && process.env["CI"] === undefined
const say = (text: string): void => void out.write(`${text}\n`)

/** On a terminal one line is drawn again and again; elsewhere each fault is a line. */
const line = (text: string): void => void (live && out.write(`\r\x1b[2K${text.slice(0, Math.max(20, (out.columns ?? 80) - 1))}`))

const run = async ({ seed, minutes, only, json }: Asked): Promise<number> => {
  const stopping = new AbortController()
  const stop = (): void => stopping.abort()
  process.once("SIGINT", stop).once("SIGTERM", stop).once("disconnect", stop)
  say(`seed ${seed}, ${minutes} minutes`)
  const began = Date.now()
  let soFar = "0 faults"
  let doing = ""
  const draw = (): void => line(`  ${((Date.now() - began) / 60_000).toFixed(1)}/${minutes} min  ${soFar}  ${doing}`)
  const timer = setInterval(draw, 250)
  const outcome = await runFaults({
    seed,
    until: minutes * 60_000,
    watched: only === undefined || KINDS.some((kind) => kind.front === true && only.includes(kind.name)),
    ...(only === undefined ? {} : { only }),
    signal: stopping.signal,
    struck: (fault, so) => {
      soFar = `${so.struck.length} faults, ${totalChecks(so)} checks, ${so.events} changes, ${so.violations.length} violations`
      if (!live) say(faultLine(fault, so.struck.length))
    },
    doing: (what) => {
      doing = what
      draw()
    },
  }).finally(() => {
    clearInterval(timer)
    line("")
  })
  say(report(outcome, promisesOf(allChecks(await Effect.runPromise(readHistory)))))
  if (json !== undefined) await writeFile(json, asJson(outcome))
  return outcome.violations.length > 0 ? 1 : outcome.ended === "interrupted" ? 130 : 0
}

const what = asked(process.argv.slice(2), Math.floor(Math.random() * 2 ** 31))
if (what === "help") {
  say(USAGE)
  process.exit(0)
}
if ("problem" in what) {
  process.stderr.write(`${what.problem}\n\n${USAGE}\n`)
  process.exit(2)
}
// Whatever still waits for a server that is gone is not waited for.
process.exit(await run(what))
