/** What the relay is told by its environment. */
import { Effect } from "effect"
import type { Redacted } from "effect"
import type { ConfigProblem } from "#observe/config-error.ts"
import { databaseUrl, directDatabaseUrl, natsUrl } from "#observe/config-error.ts"

export interface RelayConfig {
  /** For reading the outbox; a pooler in transaction mode may stand there. */
  readonly databaseUrl: Redacted.Redacted<string>
  /** Straight to Postgres, for the lease and the wake-up, which are a session's; `databaseUrl` unless told. */
  readonly directUrl: Redacted.Redacted<string>
  readonly natsUrl: Redacted.Redacted<string>
}

/** Fails with the first setting that is missing or wrong. */
export const relayConfig: Effect.Effect<RelayConfig, ConfigProblem> = Effect.all({ databaseUrl, directUrl: directDatabaseUrl, natsUrl })
