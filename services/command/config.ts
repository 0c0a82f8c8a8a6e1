/** What the command service is told by its environment. */
import { Effect } from "effect"
import type { Redacted } from "effect"
import type { ConfigProblem } from "#observe/config-error.ts"
import { databaseUrl, natsUrl } from "#observe/config-error.ts"

export interface CommandConfig {
  readonly databaseUrl: Redacted.Redacted<string>
  readonly natsUrl: Redacted.Redacted<string>
}

/** Fails with the first setting that is missing or wrong. */
export const commandConfig: Effect.Effect<CommandConfig, ConfigProblem> = Effect.all({ databaseUrl, natsUrl })
