/** What the relay is told by its environment. */
import { Config, Effect } from "effect"
import type { Redacted } from "effect"
import type { ConfigProblem } from "#observe/config-error.ts"
import { required } from "#observe/config-error.ts"

export interface RelayConfig {
  /** Straight to Postgres, not through a pooler that shares sessions: the lease and the wake-up are a session's. */
  readonly databaseUrl: Redacted.Redacted<string>
  readonly natsUrl: Redacted.Redacted<string>
}

/** Fails with the first setting that is missing or wrong. */
export const relayConfig: Effect.Effect<RelayConfig, ConfigProblem> = Effect.gen(function* () {
  const databaseUrl = yield* required("DATABASE_URL", "postgres://user:password@host:port/database, of role tide_relay", Config.Redacted)
  const natsUrl = yield* required("NATS_URL", "nats://user:password@host:port, several with commas", Config.Redacted)
  return { databaseUrl, natsUrl }
})
