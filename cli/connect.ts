/** Connections of the operator's tool: to what the environment names, else to the demo that runs in this folder. */
import { Config, Effect, Option } from "effect"
import type { Scope } from "effect"
import postgres from "postgres"
import type { Sql } from "postgres"
import type { Nats } from "#nats/connection.ts"
import { connectOnce } from "#nats/connection.ts"
import { demoRun } from "./demo-run.ts"
import { CommandFailed } from "./failure.ts"

/** Seconds Postgres may take to answer before we say that it does not. */
const CONNECT_S = 5

const address = (variable: "DATABASE_URL" | "NATS_URL"): Effect.Effect<string, CommandFailed> =>
  Effect.gen(function* () {
    const set = yield* Config.option(Config.String(variable)).pipe(Effect.orDie)
    if (Option.isSome(set) && set.value !== "") return set.value
    const run = yield* demoRun
    if (run !== null) return variable === "DATABASE_URL" ? run.databaseUrl : run.natsUrl
    return yield* new CommandFailed({
      message: `${variable} is not set and no demo runs in this folder.`,
      hint: `Set ${variable}, or start the demo with npm start (its folder is TIDELINE_DATA, .tideline unless set).`,
    })
  })

const databaseUrl = address("DATABASE_URL")
const natsUrl = address("NATS_URL")

/** Postgres, tried once, for as long as the scope lives. */
export const openDatabase: Effect.Effect<Sql, CommandFailed, Scope.Scope> = Effect.gen(function* () {
  const url = yield* databaseUrl
  const sql = yield* Effect.acquireRelease(
    Effect.try({
      // Nothing prepared: a pooler may stand there.
      try: () => postgres(url, { max: 2, prepare: false, connect_timeout: CONNECT_S, connection: { application_name: "tideline-cli" }, onnotice: warn }),
      catch: () => new CommandFailed({ message: "DATABASE_URL is not an address of a database.", hint: "postgres://user:password@host:5432/database" }),
    }),
    (connection) => Effect.promise(() => connection.end({ timeout: 1 })),
  )
  yield* query(() => sql`select 1`)
  return sql
})

/** nats-server, tried once, for as long as the scope lives. */
export const openNats: Effect.Effect<Nats, CommandFailed, Scope.Scope> = Effect.flatMap(natsUrl, (url) =>
  connectOnce(url, "tideline-cli").pipe(
    Effect.mapError((error) => new CommandFailed({ message: `nats-server: ${error.message}.`, hint: `${error.hint[0]!.toUpperCase()}${error.hint.slice(1)}.` })),
  ),
)

/** What Tideline's functions warn of is the operator's to know. */
const warn = (notice: postgres.Notice): void => {
  if (notice["severity"] === "WARNING") console.error(`tideline: ${notice["message"]}${notice["hint"] === undefined ? "" : `\n${notice["hint"]}`}`)
}

/** Runs statements; what Postgres refuses becomes a failure that says what to do. */
export const query = <A>(run: () => PromiseLike<A>): Effect.Effect<A, CommandFailed> =>
  Effect.tryPromise({ try: async () => await run(), catch: asFailure })

const asFailure = (cause: unknown): CommandFailed => {
  if (cause instanceof postgres.PostgresError) {
    return new CommandFailed({ message: `Postgres: ${cause.message}.`.replace(/\.\.$/, "."), hint: cause.hint ?? hintFor(cause.code) })
  }
  const message = cause instanceof Error ? (cause.message === "" ? cause.name : cause.message) : String(cause)
  return new CommandFailed({ message: `Postgres cannot be reached: ${message}.`, hint: "Is it running at the address in DATABASE_URL, and may you connect to it?" })
}

/** What to do about a refusal that brings no hint of its own. */
const hintFor = (code: string): string => {
  switch (code) {
    case "3F000": case "42883": case "42P01":
      return "Is the table's name right, and is Tideline installed in this database? `npx tideline doctor` tells."
    case "42501":
      return "The role in DATABASE_URL may not do this: use the owner of the database or a superuser."
    case "28P01": case "28000": case "3D000":
      return "Check user, password and database in DATABASE_URL."
    default:
      return code.startsWith("22") || code.startsWith("23") ? "Check the values given." : "`npx tideline doctor` looks for what is wrong."
  }
}
