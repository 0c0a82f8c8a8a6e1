/**
 * The program itself: opens the world, strikes one fault after the other, waits each time until changes are published again, lets the
 * writers stand still and holds the promises against everything that came since. It ends in time, when it is told to, or at the first
 * promise that is broken: what follows would be its consequence.
 */
import { setTimeout as after } from "node:timers/promises"
import { Effect } from "effect"
import type { Random } from "#test/support/random.ts"
import { randomFrom } from "#test/support/random.ts"
import { readHistory } from "../../demo/history/commits.ts"
import { allChecks } from "./checks/all.ts"
import type { Check, Judge } from "./checks/check.ts"
import { shortened } from "./checks/check.ts"
import { changes, epochs, pair } from "./checks/pair.ts"
import type { Position } from "./checks/gather.ts"
import { BEGINNING, gather } from "./checks/gather.ts"
import { KINDS } from "./kinds/all.ts"
import { makePlan } from "./plan.ts"
import type { Choice } from "./plan.ts"
import { STEPS } from "./steps/all.ts"
import { arm } from "./steps/arm.ts"
import type { World } from "./world/world.ts"
import { openWorld } from "./world/world.ts"

export interface Struck {
  readonly kind: string
  readonly step: string
  /** The step came, and was not just some moment. */
  readonly reached: boolean
  readonly detail: string
  /** Milliseconds since the beginning. */
  readonly at: number
  /** Milliseconds from when everything was there again until a new change was published; null where none was in time. */
  readonly recovered: number | null
}

export interface Violation {
  readonly check: string
  readonly promise: string
  readonly what: string
  /** The number of the last fault, from 1; 0 before the first. */
  readonly fault: number
}

export interface Outcome {
  readonly seed: number
  readonly ms: number
  readonly struck: ReadonlyArray<Struck>
  readonly violations: ReadonlyArray<Violation>
  /** Check → how often it was made. */
  readonly checks: ReadonlyMap<string, number>
  /** Changes compared, each counted once; epochs seen. */
  readonly events: number
  readonly epochs: number
  readonly writers: { readonly done: number; readonly failed: number }
  /** The last lines of every service's log, where something was wrong. */
  readonly logs: ReadonlyArray<string>
  /** Why it ended before its time, where it did. */
  readonly ended: "interrupted" | "violations" | null
}

export interface RunOptions {
  readonly seed: number
  /** Milliseconds; or until every kind and every step had its turn. */
  readonly until: number | "covered"
  /** Names of kinds; all unless told. */
  readonly only?: ReadonlyArray<string>
  /** How often, of 1, the next fault strikes before anything is checked; never after a loss. */
  readonly unchecked?: number
  /** Whether clients watch, at edges that may fail as well. */
  readonly watched: boolean
  readonly signal?: AbortSignal
  /** Hears of each fault when its checks are made, and of each step between. */
  readonly struck?: (fault: Struck, soFar: Outcome) => void
  readonly doing?: (what: string) => void
}

export const RECOVERS: Check = { name: "recovers", promise: "after each fault changes are published again within the time of its kind", begin: () => () => [] }
const RECOVERS_MS = 20_000
const UNCHECKED = 0.25

export const runFaults = async (options: RunOptions): Promise<Outcome> => {
  const { seed, signal, doing = () => undefined } = options
  const began = performance.now()
  const struck: Array<Struck> = []
  const violations: Array<Violation> = []
  const counts = new Map<string, number>()
  let events = 0
  let epochsSeen = 0
  let logs: ReadonlyArray<string> = []
  let ended: Outcome["ended"] = null
  let world: World | null = null
  const outcome = (): Outcome => ({
    seed, ms: performance.now() - began, struck, violations, checks: counts, events, epochs: epochsSeen, writers: world?.writers.counts() ?? { done: 0, failed: 0 }, logs, ended,
  })
  const counted = (check: Check, wrong: ReadonlyArray<string>): void => {
    counts.set(check.name, (counts.get(check.name) ?? 0) + 1)
    for (const what of shortened(wrong)) violations.push({ check: check.name, promise: check.promise, what, fault: struck.length })
  }

  const checks = allChecks(await Effect.runPromise(readHistory))
  let judges = new Map<Check, Judge>(checks.map((check) => [check, check.begin()]))
  let position: Position = BEGINNING

  /** Holds every promise against what is new; `anew`: against everything there is. */
  const check = async (world: World, anew: boolean): Promise<void> => {
    if (anew) {
      position = BEGINNING
      judges = new Map(checks.map((each) => [each, each.lasting === true ? judges.get(each)! : each.begin()]))
    }
    const { evidence, to } = await gather(world, position)
    const pairs = pair(evidence.rows, evidence.messages)
    for (const [each, judge] of judges) counted(each, judge(evidence, pairs))
    if (!anew) events += changes(evidence.messages).length
    epochsSeen = Math.max(epochsSeen, ...epochs(evidence.messages).map((message) => Number.parseInt(message.address.id, 10)))
    position = to
    world.writers.goOn()
  }

  const strike = async (world: World, { kind, step }: Choice, random: Random): Promise<Struck> => {
    doing(`${kind.name} at ${step.name}`)
    const at = performance.now() - began
    let reached = false
    let detail: string
    try {
      const moment = await arm(world, step, random)
      reached = moment.reached
      detail = await kind.strike(world, moment, random)
    } catch (cause) {
      detail = (cause as Error).message
      violations.push({ check: RECOVERS.name, promise: RECOVERS.promise, what: detail, fault: struck.length + 1 })
    }
    await world.heal()
    const healed = performance.now()
    doing(`recovering from ${kind.name} at ${step.name}`)
    const wrong = await world.mark(Math.max(kind.recovers ?? 0, step.provoke === "loss" ? 60_000 : RECOVERS_MS)).then(() => [], (cause: Error) => [cause.message])
    const fault: Struck = { kind: kind.name, step: step.name, reached, detail, at, recovered: wrong.length > 0 ? null : performance.now() - healed }
    struck.push(fault)
    counted(RECOVERS, wrong)
    return fault
  }

  const story = async (): Promise<void> => {
    doing("starting Postgres, nats-server and all services")
    world = await openWorld(seed, options.watched)
    const random = randomFrom(seed)
    const kinds = KINDS.filter((kind) => (options.watched || kind.front !== true) && (options.only?.includes(kind.name) ?? true))
    const plan = makePlan(kinds, STEPS, random)
    await world.mark(RECOVERS_MS)
    await check(world, false)
    const over = (): boolean => signal?.aborted === true || violations.length > 0 || (options.until === "covered" ? plan.covered() : performance.now() - began >= options.until)
    let anew = false
    while (!over()) {
      const choice = plan.next()
      const fault = await strike(world, choice, random)
      anew ||= world.lostSomething()
      if (violations.length > 0 || anew || !random.chance(options.unchecked ?? UNCHECKED)) {
        doing("checking")
        await check(world, anew)
        anew = false
      }
      options.struck?.(fault, outcome())
    }
    doing("checking everything from the beginning")
    if (violations.length === 0) await check(world, true)
    if (violations.length > 0) ended = "violations"
  }

  const interrupted = new Promise<void>((resolve) => {
    if (signal?.aborted === true) resolve()
    signal?.addEventListener("abort", () => resolve(), { once: true })
  })
  try {
    const telling = story()
    await Promise.race([telling, interrupted.then(() => void (ended = "interrupted"))])
    telling.catch(() => undefined)
    if (violations.length > 0) logs = lastLines(world)
    return outcome()
  } finally {
    doing("stopping")
    await Promise.race([world === null ? Promise.resolve() : (world as World).stop(), after(STOP_MS)])
  }
}

/** Milliseconds to end every process; what is left ends with this one. */
const STOP_MS = 20_000
const LOG_LINES = 25

const lastLines = (world: World | null): ReadonlyArray<string> =>
  [...(world?.relays ?? []).map(({ name, log }) => ({ name: `relay ${name}`, log })), ...(world?.audience?.front.all ?? [])].flatMap(({ name, log }) => [
    `${name}:`,
    ...log().trimEnd().split("\n").slice(-LOG_LINES).map((line) => `  ${line}`),
  ])
