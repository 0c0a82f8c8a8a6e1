/** What the client throws becomes what the contract promises. */
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream"
import { LogError } from "./log.ts"

export const asLogError = (cause: unknown): LogError => {
  if (cause instanceof LogError) return cause
  const message = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.StreamNotFound)
    return new LogError({ reason: "missing", message, hint: "the relay makes the streams when it starts: is it running?" })
  return new LogError({ reason: "unavailable", message, hint: "is nats-server running? ask again" })
}
