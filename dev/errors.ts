/** What can go wrong while the servers and services of one machine are started. The hint says what to do about it. */
import { Schema } from "effect"

export class DevError extends Schema.TaggedError<DevError>()("DevError", {
  message: Schema.String,
  hint: Schema.String,
}) {}

/** The text of anything thrown. */
export const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
