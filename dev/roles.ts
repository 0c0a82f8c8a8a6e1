/** The migrations make the services' Postgres roles without a password; on this machine each gets one of its own. */
import { Effect } from "effect"
import postgresjs from "postgres"
import { DevError, reasonOf } from "./errors.ts"

/** Lets each role sign in with the password given for it. `url` is the superuser's. */
export const letSignIn = (url: string, passwords: Readonly<Record<string, string>>): Effect.Effect<void, DevError> =>
  Effect.tryPromise({
    try: async () => {
      const sql = postgresjs(url, { max: 1, onnotice: () => undefined, connect_timeout: 10 })
      try {
        for (const [role, password] of Object.entries(passwords)) {
          // `alter role` takes no parameters; the names are ours and the passwords letters and digits.
          await sql.unsafe(`alter role "${role}" login password '${password.replaceAll("'", "''")}'`)
        }
      } finally {
        await sql.end({ timeout: 2 })
      }
    },
    catch: (cause) => new DevError({ message: `The services' roles could not be given passwords: ${reasonOf(cause)}.`, hint: "The user of DATABASE_URL must be allowed to create and alter roles (a superuser, or CREATEROLE)." }),
  })
