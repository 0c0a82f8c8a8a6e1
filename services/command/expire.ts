/**
 * Deletes grants that have expired, so that an expiry is a position in the log too: every second, by whichever instances there are (a
 * row is deleted once). It is also how this service knows whether Postgres answers.
 */
import { Duration, Effect, Schedule } from "effect"
import type { Scope } from "effect"
import type { Sql } from "#db/postgres.ts"
import { counter } from "#observe/metrics.ts"
import { EXPIRE_EVERY_MS } from "#protocol/limits.ts"

/** Runs for as long as the scope lives. Answers why Postgres cannot be used now, or null. */
export const expireGrants = (sql: Sql): Effect.Effect<() => string | null, never, Scope.Scope> =>
  Effect.gen(function* () {
    let problem: string | null = null
    const expired = counter("tideline_grants_expired_total", "Grants deleted because their time had come")
    const once = Effect.tryPromise({
      try: () => sql<Array<{ readonly count: number }>>`select authz.expire() as count`,
      catch: (cause) => (cause instanceof Error && cause.message !== "" ? cause.message : String(cause)),
    }).pipe(
      Effect.tap(([row]) =>
        Effect.suspend(() => {
          expired.add(Number(row?.count ?? 0))
          const back = problem !== null
          problem = null
          return back ? Effect.log("Postgres answers again") : Effect.void
        }),
      ),
      Effect.catch((message) =>
        Effect.suspend(() => {
          const first = problem === null
          problem = message
          return first ? Effect.logWarning(`Postgres does not answer: ${message}`) : Effect.void
        }),
      ),
    )
    yield* once.pipe(Effect.repeat(Schedule.spaced(Duration.millis(EXPIRE_EVERY_MS))), Effect.forkScoped)
    return () => problem
  })
