/** Following what the relay does with the steps of `tide.rebuild`: a backfill is one, a rebuild all of them. */
import { Clock, Effect } from "effect"
import type { Sql } from "postgres"
import { query } from "./connect.ts"
import { CommandFailed } from "./failure.ts"
import { progress, progressDone } from "./output.ts"
import { leaseHeld } from "./status/database.ts"
import { spell } from "./time.ts"

export interface StepFacts {
  readonly kind: "gone" | "rows"
  /** Of rows the entity, of gone a scope or `*`. */
  readonly what: string
  readonly reason: string
  readonly epoch: string | null
  readonly requestedAt: string
  readonly doneAt: string | null
  readonly lookedAt: number
  readonly written: number
  /** Rows to look at, about, where that is known. */
  readonly about: number | null
  readonly error: string | null
}

/** Every step, or the one at `place`, in their order. */
export const readSteps = (sql: Sql, place: string | null = null): Effect.Effect<ReadonlyArray<StepFacts>, CommandFailed> =>
  query(() => sql<Array<StepFacts>>`
    select kind, what, reason, epoch, to_char(requested_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "requestedAt",
      to_char(done_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "doneAt",
      looked_at::float8 as "lookedAt", written::float8 as written, about::float8 as about, error
    from tide.rebuild where ${place}::bigint is null or place = ${place}::bigint order by place`)

/** What is done of it, in words. */
export const describeSteps = (steps: ReadonlyArray<StepFacts>): string => {
  const rows = steps.filter((step) => step.kind === "rows")
  const looked = rows.reduce((sum, step) => sum + step.lookedAt, 0)
  const about = rows.some((step) => step.about !== null) ? Math.max(looked, rows.reduce((sum, step) => sum + (step.doneAt === null ? Math.max(step.about ?? 0, step.lookedAt) : step.lookedAt), 0)) : null
  return `${count(looked)}${about === null || steps.every((step) => step.doneAt !== null) ? "" : ` of about ${count(about)}`} rows looked at, ${count(steps.reduce((sum, step) => sum + step.written, 0))} events written`
}

const count = (n: number): string => Math.round(n).toLocaleString("en")

/** Milliseconds between looks, and without a relay after which waiting is no use. */
const LOOK_MS = 250
const NO_RELAY_MS = 15_000

/** Shows how far it is until every step is done. Fails where no relay works, or the relay gave a step up. */
export const followSteps = (sql: Sql, place: string | null, show: boolean): Effect.Effect<ReadonlyArray<StepFacts>, CommandFailed> =>
  Effect.gen(function* () {
    const began = yield* Clock.currentTimeMillis
    let relayAt = began
    let first: number | null = null
    for (let shown = ""; ; ) {
      const steps = yield* readSteps(sql, place)
      const now = yield* Clock.currentTimeMillis
      const looked = steps.reduce((sum, step) => sum + step.lookedAt, 0)
      first ??= looked
      const text = `${describeSteps(steps)}${timeLeft(steps, looked - first, now - began)}`
      if (show && text !== shown) progress(text)
      shown = text
      if (steps.every((step) => step.doneAt !== null)) {
        if (show) progressDone()
        const failed = steps.filter((step) => step.error !== null)
        if (failed.length > 0) {
          return yield* new CommandFailed({
            message: failed.map((step) => `${step.kind} ${step.what}: ${step.error}.`.replace(/\.\.$/, ".")).join(" "),
            hint: "The owner of Tideline's functions (who migrated) must be able to read the table and lock its rows; put that right and ask again.",
          })
        }
        return steps
      }
      const [relay] = yield* query(() => sql<Array<{ held: boolean }>>`select ${leaseHeld(sql)} as held`)
      if (relay!.held) relayAt = now
      if (now - relayAt > NO_RELAY_MS) {
        if (show) progressDone()
        return yield* new CommandFailed({ message: "No relay works: nothing goes on.", hint: "What is asked for stays asked for. Start services/outbox-relay/main.ts; its log says why it ended." })
      }
      yield* Effect.sleep(LOOK_MS)
    }
  })

const timeLeft = (steps: ReadonlyArray<StepFacts>, done: number, ms: number): string => {
  const left = steps.reduce((sum, step) => sum + (step.doneAt === null ? Math.max(0, (step.about ?? 0) - step.lookedAt) : 0), 0)
  return left === 0 || done === 0 || ms < 2_000 ? "" : `, ${spell((left / done) * ms)} left`
}
