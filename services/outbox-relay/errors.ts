/** Why the relay stops publishing for a while. None of these ends the process: it waits, reads where the stream ends, and goes on. */
import { JetStreamApiError } from "@nats-io/jetstream"
import { errors } from "@nats-io/nats-core"
import { Schema } from "effect"

export class RelayStopped extends Schema.TaggedError<RelayStopped>()("RelayStopped", {
  /**
   * postgres: away, or the session with the lease was lost. nats: away, or the outcome of a publish is not known. fenced: somebody else wrote
   * to the stream. full: there is no room. quorum: too few servers to store anything. large: a message fits nowhere, and may not be set aside.
   * permission: the user may not publish. refused: another refusal. stream: it, or its end, is not one of ours.
   */
  reason: Schema.Literals(["postgres", "nats", "fenced", "full", "quorum", "large", "permission", "refused", "stream"]),
  message: Schema.String,
  hint: Schema.String,
}) {}

/** Anything thrown by what talks to Postgres. */
export const postgresStopped = (cause: unknown): RelayStopped =>
  cause instanceof RelayStopped ? cause : new RelayStopped({ reason: "postgres", message: messageOf(cause), hint: "is Postgres running? trying again" })

/** Anything thrown by what talks to NATS. */
export const natsStopped = (cause: unknown): RelayStopped => {
  if (cause instanceof RelayStopped) return cause
  if (cause instanceof JetStreamApiError) return refusal(cause.code, cause.message)
  // The client wraps what ended a request.
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  if (inner instanceof errors.PermissionViolationError)
    return new RelayStopped({ reason: "permission", message: `the server does not let this user ${inner.operation} ${inner.subject}`, hint: "give the user in NATS_URL the permissions of `relay` in nats/nats.conf" })
  if (inner instanceof errors.NoRespondersError)
    return new RelayStopped({ reason: "quorum", message: "no server answers for the stream: it has no leader, or is gone", hint: "are enough servers of the cluster up? trying again" })
  return new RelayStopped({ reason: "nats", message: messageOf(cause), hint: "is nats-server running? trying again" })
}

/** By the server's error codes (err_code; server/errors.json of nats-server). The text of a store's own failure tells more than its code. */
export const refusal = (code: number, description: string): RelayStopped => {
  const stopped = (reason: RelayStopped["reason"], what: string, hint: string) => new RelayStopped({ reason, message: `${what}: ${description}`, hint })
  switch (code) {
    case CODE.wrongLastSequence:
    case CODE.wrongLastSequenceUnknown:
      return stopped("fenced", "the stream has moved on", "another relay is active, or somebody published by hand")
    case CODE.storageExceeded:
    case CODE.resourcesExceeded:
    case CODE.insufficientResources:
    case CODE.memoryExceeded:
      return stopped("full", "JetStream has no room", "raise the account's limit or the server's max_file_store, or add disk; the relay goes on by itself")
    case CODE.storeFailed:
      return /maximum (bytes|messages)/.test(description)
        ? stopped("full", "CHANGES is full", "raise its bound (nats stream edit CHANGES --max-bytes=…); the relay goes on by itself")
        : stopped("refused", "the stream could not store a batch", "see nats-server's log and its disk; trying again")
    case CODE.unavailable:
    case CODE.noLeader:
    case CODE.streamOffline:
    case CODE.streamOfflineReason:
    case CODE.noPeers:
    case CODE.clusterIncomplete:
      return stopped("quorum", "the cluster cannot store anything now", "are enough servers up for a majority? trying again")
    case CODE.messageTooLarge:
    case CODE.headersTooLarge:
      return stopped("large", "the stream refused a message as too large", "max_payload (nats/nats.conf) and max_msg_size of CHANGES must be what MESSAGE_BYTES (protocol/limits.ts) says")
    case CODE.sealed:
    case CODE.noBatches:
    case CODE.streamNotFound:
      return stopped("stream", "the stream takes no batch", "somebody changed or removed it; what can be set right is set right at the next try")
    default:
      return stopped("refused", `the stream refused a batch (${code})`, "see the stream's limits and the server's log; trying again")
  }
}

/** The commit of a batch of which a message was refused before says no more than that: the first refusal says why. */
export const isIncompleteBatch = (code: number): boolean => code === CODE.incompleteBatch

const CODE = {
  resourcesExceeded: 10002,
  clusterIncomplete: 10004,
  noPeers: 10005,
  unavailable: 10008,
  noLeader: 10009,
  insufficientResources: 10023,
  memoryExceeded: 10028,
  storageExceeded: 10047,
  messageTooLarge: 10054,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  storeFailed: 10077,
  headersTooLarge: 10097,
  sealed: 10109,
  streamOffline: 10118,
  wrongLastSequenceUnknown: 10164,
  noBatches: 10174,
  incompleteBatch: 10176,
  streamOfflineReason: 10194,
} as const

const messageOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  return cause.message === "" && "code" in cause ? String(cause.code) : cause.message
}
