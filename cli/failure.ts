/** How a command ends badly. */
import { Schema } from "effect"

/** Exit codes, the same for every command. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const

/** What was asked for could not be done. `hint`: what to do about it. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  message: Schema.String,
  hint: Schema.String,
}) {}

/** The command line is not one that the command understands. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", {
  message: Schema.String,
  /** What is needed instead; the help command is added by whoever prints it. */
  hint: Schema.String,
}) {}
