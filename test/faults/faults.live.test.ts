/**
 * Short runs of the fault program with a fixed seed. Without clients: every step of the relay's loop, and every kind of fault but two after which the
 * mirror looks for its origin for ten seconds, and one that two of the steps bring about. With clients: some of what strikes that which
 * stands before them. `npm run faults` is the long one.
 */
import { Effect } from "effect"
import { expect, it } from "vitest"
import { readHistory } from "../../demo/history/commits.ts"
import { allChecks } from "./checks/all.ts"
import { KINDS } from "./kinds/all.ts"
import { promisesOf, report } from "./report.ts"
import { runFaults } from "./run.ts"

const SEED = 7
/** Milliseconds with clients, their beginning included. */
const WATCHED_MS = 14_000
const LEFT_OUT = ["restore-changes", "delete-changes", "restore-nats"]

it(`keeps every promise through faults of every kind at every step (npm run faults -- --seed ${SEED})`, { timeout: 300_000 }, async () => {
  const only = KINDS.filter(({ name, front }) => front !== true && !LEFT_OUT.includes(name)).map(({ name }) => name)
  const outcome = await runFaults({ seed: SEED, until: "covered", watched: false, only, unchecked: 0.6 })
  const missed = outcome.struck.filter(({ reached }) => !reached)
  if (outcome.violations.length + missed.length > 0) throw new Error(report(outcome, promisesOf(allChecks(await Effect.runPromise(readHistory)))))
  expect(outcome.struck.length).toBeGreaterThan(only.length)
})

it(`keeps them to clients who write and watch, too (npm run faults -- --seed ${SEED})`, { timeout: 300_000 }, async () => {
  const only = KINDS.filter(({ front }) => front === true).map(({ name }) => name)
  const outcome = await runFaults({ seed: SEED, until: WATCHED_MS, watched: true, only, unchecked: 0.5 })
  if (outcome.violations.length > 0) throw new Error(report(outcome, promisesOf(allChecks(await Effect.runPromise(readHistory)))))
  expect(outcome.struck.length).toBeGreaterThan(0)
  expect(outcome.checks.get("leaks")).toBeGreaterThan(1)
})
