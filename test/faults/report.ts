/** The report: what struck, what was checked, how long it took to recover, what was wrong. */
import type { Outcome, Struck } from "./run.ts"
import { RECOVERS } from "./run.ts"
import { timeline } from "./timeline.ts"

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`
const clock = (ms: number): string => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}`

const columns = (lines: ReadonlyArray<ReadonlyArray<string>>, right: ReadonlyArray<number> = []): ReadonlyArray<string> => {
  const widths = (lines[0] ?? []).map((_, i) => Math.max(...lines.map((line) => line[i]!.length)))
  return lines.map((line) => `  ${line.map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ")}`.trimEnd())
}

const counted = <A>(values: ReadonlyArray<A>, key: (value: A) => string): ReadonlyMap<string, ReadonlyArray<A>> => Map.groupBy(values, key)

/** p50 and the longest. */
const recovery = (faults: ReadonlyArray<Struck>): readonly [string, string] => {
  const times = faults.flatMap(({ recovered }) => (recovered === null ? [] : [recovered])).toSorted((a, b) => a - b)
  return times.length === 0 ? ["-", "-"] : [seconds(times[Math.floor((times.length - 1) / 2)]!), seconds(times.at(-1)!)]
}

/** One line about a fault, as it comes. */
export const faultLine = (fault: Struck, number: number): string =>
  `${clock(fault.at)} #${number} ${fault.kind} at ${fault.step}${fault.reached ? "" : " (which did not come)"}: ${fault.detail}; ${fault.recovered === null ? "not recovered" : `published again after ${seconds(fault.recovered)}`}`

export const totalChecks = (outcome: Outcome): number => [...outcome.checks.values()].reduce((sum, n) => sum + n, 0)

/** Ends with `N checks, 0 violations`, or with how many, named above it. */
export const report = (outcome: Outcome, promises: ReadonlyMap<string, string>): string => {
  const { struck, violations, checks } = outcome
  const missed = struck.filter(({ reached }) => !reached)
  const lines = [
    "",
    "Faults by kind, and from when everything was there again to the next change in the stream",
    ...columns([["kind", "faults", "p50", "longest"], ...[...counted(struck, ({ kind }) => kind)].map(([kind, faults]) => [kind, String(faults.length), ...recovery(faults)])], [1, 2, 3]),
    "",
    "Faults by step of the relay's loop",
    ...columns([["step", "faults"], ...[...counted(struck, ({ step }) => step)].map(([step, faults]) => [step, String(faults.length)])], [1]),
    ...(missed.length === 0 ? [] : [`  ${missed.length} struck at some other moment, because the step did not come: ${[...new Set(missed.map(({ step }) => step))].join(", ")}`]),
    "",
    "Checks by promise",
    ...columns([...checks].map(([name, count]) => [name, String(count), promises.get(name) ?? ""]), [1]),
    "",
    ...timeline(struck, outcome.ms),
    "",
    `${struck.length} faults in ${clock(outcome.ms)} minutes; ${outcome.events} changes compared, by ${outcome.writers.done} steps of writers (${outcome.writers.failed} failed or lost their answer); ${outcome.epochs} epochs.`,
  ]
  if (violations.length > 0) {
    lines.push("", "Broken promises")
    for (const { check, promise, what, fault } of violations) {
      const after = struck[fault - 1]
      lines.push(`  ✗ ${check} (${promise})`, `    after fault #${fault}${after === undefined ? "" : `, ${after.kind} at ${after.step}`}: ${what}`)
    }
    lines.push("", ...outcome.logs)
  }
  if (outcome.ended === "interrupted") lines.push("", "It was interrupted: what came after the last check is not checked.")
  lines.push("", `The same choices again: npm run faults -- --seed ${outcome.seed}`, `${totalChecks(outcome)} checks, ${violations.length} violations`)
  return lines.join("\n")
}

/** For --json. */
export const asJson = (outcome: Outcome): string =>
  `${JSON.stringify({ ...outcome, ms: Math.round(outcome.ms), checks: Object.fromEntries(outcome.checks), total: totalChecks(outcome) }, null, 2)}\n`

export const promisesOf = (checks: ReadonlyArray<{ readonly name: string; readonly promise: string }>): ReadonlyMap<string, string> =>
  new Map([...checks, RECOVERS].map(({ name, promise }) => [name, promise]))
