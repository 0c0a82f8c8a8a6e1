/**
 * What this machine's servers and services know each other by: made once, kept in TIDELINE_DATA/secrets.json, readable by its
 * owner only. nats.conf reads passwords as configuration text, so: letters and digits, a letter first.
 */
import { Effect, Schema } from "effect"
import { createHmac, randomBytes } from "node:crypto"
import { chmodSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { writeWhole } from "./data-file.ts"
import { DevError } from "./errors.ts"
import { NATS_USERS } from "./nats.ts"

const Secrets = Schema.Struct({
  /** HS256, of the demo's tokens; the operator's tool signs with it as well. */
  TIDELINE_JWT_SECRET: Schema.String,
  /** Of the embedded Postgres' superuser. */
  postgres: Schema.String,
  /** Of the services' Postgres roles. */
  roles: Schema.String,
  nats: Schema.Struct({
    operator: Schema.String,
    relay: Schema.String,
    authz: Schema.String,
    command: Schema.String,
    edge: Schema.String,
  }),
})
export type Secrets = typeof Secrets.Type

const newSecret = (): string => `s${randomBytes(20).toString("hex")}`

const newSecrets = (): Secrets => ({
  TIDELINE_JWT_SECRET: newSecret(),
  postgres: newSecret(),
  roles: newSecret(),
  nats: Object.fromEntries(NATS_USERS.map((user) => [user, newSecret()])) as Secrets["nats"],
})

/** The secrets of the data folder; made where there are none. */
export const secretsOf = (dataDir: string): Effect.Effect<Secrets, DevError> =>
  Effect.gen(function* () {
    const path = join(dataDir, "secrets.json")
    if (!existsSync(path)) {
      const made = newSecrets()
      writeWhole(path, made)
      return made
    }
    chmodSync(path, 0o600)
    return yield* Schema.decodeUnknownEffect(Schema.fromJsonString(Secrets))(readFileSync(path, "utf8")).pipe(
      Effect.mapError(() => new DevError({ message: `${path} is not what was written there.`, hint: "Put it back as it was, or move the whole data folder away for a fresh start." })),
    )
  })

/**
 * The password of a service's Postgres role. On a server of one's own it must be the same for every checkout that uses the server, as roles
 * belong to the whole server: it follows from the password in DATABASE_URL.
 */
export const rolePassword = (role: string, secrets: Secrets, databaseUrl: string | null): string => {
  const own = databaseUrl === null ? "" : decodeURIComponent(new URL(databaseUrl).password)
  return `s${createHmac("sha256", own === "" ? secrets.roles : own).update(`tideline role ${role}`).digest("hex")}`
}
