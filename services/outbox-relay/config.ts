/** What the relay is told by its environment. */
import { Config, Effect, Schema } from "effect"
import type { Redacted } from "effect"
import type { ConfigProblem } from "#observe/config-error.ts"
import { databaseUrl, directDatabaseUrl, natsUrl, withFallback } from "#observe/config-error.ts"
import type { StreamBirth } from "#nats/streams.ts"
import { OUTBOX_DAYS, OUTBOX_DAYS_LEAST, OUTBOX_WARN_BYTES } from "#protocol/limits.ts"

export interface RelayConfig {
  /** For reading the outbox; a pooler in transaction mode may stand there. */
  readonly databaseUrl: Redacted.Redacted<string>
  /** Straight to Postgres, for the lease and the wake-up, which are a session's; `databaseUrl` unless told. */
  readonly directUrl: Redacted.Redacted<string>
  readonly natsUrl: Redacted.Redacted<string>
  /** Days that published rows stay in the outbox. */
  readonly outboxDays: number
  /** Bytes of the outbox from which on the relay warns. */
  readonly outboxWarnBytes: number
  /** How the streams are made where there are none; streams that exist keep what they have. */
  readonly birth: StreamBirth
}

const whole = (minimum: number, maximum: number) => (variable: string) =>
  Config.schema(Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum, maximum })), variable)

/** Fails with the first setting that is missing or wrong. */
export const relayConfig: Effect.Effect<RelayConfig, ConfigProblem> = Effect.all({
  databaseUrl,
  directUrl: directDatabaseUrl,
  natsUrl,
  outboxDays: withFallback("TIDELINE_OUTBOX_DAYS", `days that published changes stay in the outbox, ${OUTBOX_DAYS_LEAST} or more`, whole(OUTBOX_DAYS_LEAST, 36_500), OUTBOX_DAYS),
  outboxWarnBytes: withFallback("TIDELINE_OUTBOX_WARN_BYTES", "bytes of the outbox from which on to warn", whole(1, Number.MAX_SAFE_INTEGER), OUTBOX_WARN_BYTES),
  birth: Effect.all({
    replicas: withFallback("TIDELINE_REPLICAS", "how many servers of a cluster hold each stream: 1, 3 or 5", whole(1, 5), 1),
    maxBytes: withFallback("TIDELINE_CHANGES_BYTES", "bytes that CHANGES may take, or -1 for no bound", whole(-1, Number.MAX_SAFE_INTEGER), -1),
  }),
})
