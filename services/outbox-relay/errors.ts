/** Why the relay stops publishing for a while. None of these ends the process: it waits, reads where the stream ends, and goes on. */
import { Schema } from "effect"

export class RelayStopped extends Schema.TaggedError<RelayStopped>()("RelayStopped", {
  /**
   * postgres: away, or the session with the lease was lost. nats: away, or the outcome of a publish is not known. fenced: somebody else wrote
   * to the stream. refused: the stream does not take a message; `message` says which and why. stream: its end is not one of ours.
   */
  reason: Schema.Literals(["postgres", "nats", "fenced", "refused", "stream"]),
  message: Schema.String,
  hint: Schema.String,
}) {}

/** Anything thrown by what talks to Postgres. */
export const postgresStopped = (cause: unknown): RelayStopped =>
  cause instanceof RelayStopped ? cause : new RelayStopped({ reason: "postgres", message: messageOf(cause), hint: "is Postgres running? trying again" })

/** Anything thrown by what talks to NATS. */
export const natsStopped = (cause: unknown): RelayStopped =>
  cause instanceof RelayStopped ? cause : new RelayStopped({ reason: "nats", message: messageOf(cause), hint: "is nats-server running? trying again" })

const messageOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  return cause.message === "" && "code" in cause ? String(cause.code) : cause.message
}
