/**
 * Mutations become transactions. Stands next to Postgres; edges, in whatever region, ask it over NATS and need no database. Any
 * number of instances share the work.
 */
import { Effect, Exit, Redacted, Schedule, Scope } from "effect"
import { connect } from "#db/postgres.ts"
import type { CannotConnect, ConnectOptions, Sql } from "#db/postgres.ts"
import { connectNats } from "#nats/connection.ts"
import type { Nats } from "#nats/connection.ts"
import { serveObserve } from "#observe/http.ts"
import { runService } from "#observe/run.ts"
import { COMMANDS_AT_ONCE } from "#protocol/limits.ts"
import { answer } from "./answer.ts"
import { commandConfig } from "./config.ts"
import { keepHouse } from "./housekeeping.ts"

const warn = (what: string) => (error: { readonly message: string; readonly hint: string }) =>
  Effect.logWarning(`waiting for ${what}: ${error.message}`).pipe(Effect.annotateLogs({ hint: error.hint }))

/** Tries until Postgres answers; each try that failed leaves nothing behind. */
const connectWhenever = (options: ConnectOptions): Effect.Effect<Sql, CannotConnect, Scope.Scope> =>
  Effect.gen(function* () {
    const own = yield* Scope.fork(yield* Effect.scope)
    return yield* connect(options).pipe(
      Scope.provide(own),
      Effect.tapError((error) => Effect.andThen(Scope.close(own, Exit.void), warn("Postgres")(error))),
    )
  }).pipe(Effect.retry(Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")])))

runService(
  "command",
  Effect.gen(function* () {
    const config = yield* commandConfig
    let nats: Nats | undefined
    let postgresProblem: () => string | null = () => "starting"
    const reasons = (): ReadonlyArray<string> => [
      ...(nats?.connected() === true ? [] : ["there is no connection to NATS"]),
      ...[postgresProblem()].flatMap((problem) => (problem === null ? [] : [`Postgres: ${problem}`])),
    ]
    yield* serveObserve("command", reasons)
    // One more than commands need: housekeeping, by which it is known whether Postgres answers, must not wait behind them.
    const sql = yield* connectWhenever({ url: Redacted.value(config.databaseUrl), name: "tideline command", max: COMMANDS_AT_ONCE + 1 })
    postgresProblem = yield* keepHouse(sql)
    nats = yield* connectNats(Redacted.value(config.natsUrl), "command", warn("NATS"))
    yield* answer(nats, sql)
    yield* Effect.log("answering")
    return yield* Effect.never
  }),
)
