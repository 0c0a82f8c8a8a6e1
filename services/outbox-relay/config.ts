/** What the relay is told by its environment. */
import { Effect } from "effect"
import type { Redacted } from "effect"
import type { ConfigProblem } from "#observe/config-error.ts"
import { databaseUrl, natsUrl } from "#observe/config-error.ts"

export interface RelayConfig {
  /** Straight to Postgres, not through a pooler that shares sessions: the lease and the wake-up are a session's. */
  readonly databaseUrl: Redacted.Redacted<string>
  readonly natsUrl: Redacted.Redacted<string>
}

/** Fails with the first setting that is missing or wrong. */
export const relayConfig: Effect.Effect<RelayConfig, ConfigProblem> = Effect.all({ databaseUrl, natsUrl })
