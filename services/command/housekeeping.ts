/**
 * What Postgres must be reminded of: grants that have expired are deleted, every second, so that an expiry is a position in the log
 * too; ids of old mutations are forgotten, every hour. Every instance does it; a row is deleted once. The first of them is also how
 * this service knows whether Postgres answers.
 */
import { Duration, Effect, Schedule } from "effect"
import type { Scope } from "effect"
import type { Sql } from "#db/postgres.ts"
import { counter } from "#observe/metrics.ts"
import { EXPIRE_EVERY_MS, PRUNE_EVERY_MS, REQUEST_TIMEOUT_MS } from "#protocol/limits.ts"

/** Runs for as long as the scope lives. Answers why Postgres cannot be used now, or null. */
export const keepHouse = (sql: Sql): Effect.Effect<() => string | null, never, Scope.Scope> =>
  Effect.gen(function* () {
    let problem: string | null = null
    const expired = counter("tideline_grants_expired_total", "Grants deleted because their time had come")

    const expire = query(() => sql<Array<Count>>`select authz.expire() as count`).pipe(
      Effect.tap((count) =>
        Effect.suspend(() => {
          expired.add(count)
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
    // A failure here is the same as the one above, which says so.
    const prune = query(() => sql<Array<Count>>`select tide.prune_mutations() as count`).pipe(Effect.ignore)

    yield* expire.pipe(Effect.repeat(Schedule.spaced(Duration.millis(EXPIRE_EVERY_MS))), Effect.forkScoped)
    yield* prune.pipe(Effect.repeat(Schedule.spaced(Duration.millis(PRUNE_EVERY_MS))), Effect.forkScoped)
    return () => problem
  })

interface Count {
  readonly count: number
}

const query = (ask: () => Promise<ReadonlyArray<Count>>): Effect.Effect<number, string> =>
  Effect.tryPromise({
    try: async () => (await ask())[0]?.count ?? 0,
    catch: (cause) => (cause instanceof Error && cause.message !== "" ? cause.message : String(cause)),
  }).pipe(
    Effect.timeoutOrElse({ duration: Duration.millis(REQUEST_TIMEOUT_MS), orElse: () => Effect.fail(`no answer within ${REQUEST_TIMEOUT_MS} ms`) }),
  )
