/** What the command service is told by its environment. */
import { Config, Effect } from "effect"
import type { Redacted } from "effect"
import type { ConfigProblem } from "#observe/config-error.ts"
import { required } from "#observe/config-error.ts"

export interface CommandConfig {
  readonly databaseUrl: Redacted.Redacted<string>
  readonly natsUrl: Redacted.Redacted<string>
}

/** Fails with the first setting that is missing or wrong. */
export const commandConfig: Effect.Effect<CommandConfig, ConfigProblem> = Effect.gen(function* () {
  const databaseUrl = yield* required("DATABASE_URL", "postgres://user:password@host:port/database", Config.Redacted)
  const natsUrl = yield* required("NATS_URL", "nats://user:password@host:port, several with commas", Config.Redacted)
  return { databaseUrl, natsUrl }
})
