/** Servers that somebody else runs: reachable, new enough, and told so in one sentence where not. */
import { Effect } from "effect"
import postgresjs from "postgres"
import { connectOnce } from "#nats/connection.ts"
import { DevError, reasonOf } from "./errors.ts"
import { isNewEnough } from "./nats-server.ts"

/** Postgres 14. */
const POSTGRES_NEEDED = 140_000

/** Its version. */
export const checkDatabase = (url: string): Effect.Effect<string, DevError> =>
  Effect.gen(function* () {
    const version = yield* Effect.tryPromise({
      try: async () => {
        const sql = postgresjs(url, { max: 1, connect_timeout: 10, onnotice: () => undefined })
        try {
          const [row] = await sql<[{ number: number; text: string }]>`select current_setting('server_version_num')::int as number, current_setting('server_version') as text`
          return row
        } finally {
          await sql.end({ timeout: 2 })
        }
      },
      catch: (cause) => new DevError({ message: `DATABASE_URL: ${reasonOf(cause)}`, hint: "Is Postgres running there, and do user, password and database exist? Unset DATABASE_URL for the embedded one." }),
    })
    if (version.number < POSTGRES_NEEDED) return yield* new DevError({ message: `DATABASE_URL: this is Postgres ${version.text}.`, hint: "Postgres 14 or later is needed; unset DATABASE_URL for the embedded one." })
    return version.text.split(" ")[0]!
  })

/** Its version. */
export const checkNats = (url: string): Effect.Effect<string, DevError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { connection } = yield* connectOnce(url, "tideline start").pipe(
        Effect.mapError((error) => new DevError({ message: `NATS_URL: ${error.message}`, hint: `${error.hint} Unset NATS_URL for the embedded server.` })),
      )
      const info = connection.info
      if (info === undefined || !isNewEnough(info.version)) {
        return yield* new DevError({ message: `NATS_URL: this is nats-server ${info?.version ?? "of an unknown version"}.`, hint: "2.12 or later is needed; unset NATS_URL for the embedded one." })
      }
      if (info.jetstream !== true) return yield* new DevError({ message: "NATS_URL: JetStream is off on this server.", hint: "Start it with a `jetstream {}` block, as in nats/nats.conf." })
      return info.version
    }),
  )
