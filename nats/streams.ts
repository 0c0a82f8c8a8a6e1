/**
 * The two streams: CHANGES, the history of every entity, and STATE, a mirror of it that keeps the newest message of each subject
 * under the sequence it has in CHANGES. The relay applies them when it starts; doing so again changes nothing.
 *
 * How many replicas a stream has, where they are and how many bytes CHANGES may take is the operator's: it is set when a stream is made and
 * never touched again (`nats stream edit`). A CHANGES that is full refuses what is new, so that the relay waits and nothing is lost; were the
 * oldest discarded instead, history that clients rely on would go before its time.
 */
import { DiscardPolicy, JetStreamApiCodes, JetStreamApiError, PersistMode, RetentionPolicy, StorageType, StoreCompression } from "@nats-io/jetstream"
import type { StreamConfig, StreamInfo } from "@nats-io/jetstream"
import { nanos } from "@nats-io/nats-core"
import { Schema } from "effect"
import { HISTORY_DAYS, MESSAGE_BYTES, STREAM_CONSUMERS } from "#protocol/limits.ts"
import { ALL_CHANGES } from "#protocol/subject.ts"
import type { Nats } from "./connection.ts"

export const CHANGES = "CHANGES"
export const STATE = "STATE"

const DAY_MS = 24 * 3600 * 1000

/** What both have. Nobody deletes from the log: what was said was said. */
const common = {
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  max_msgs: -1,
  max_consumers: STREAM_CONSUMERS,
  compression: StoreCompression.None,
  allow_msg_ttl: true,
  deny_delete: true,
  deny_purge: true,
} satisfies Partial<StreamConfig>

export const changesConfig = {
  ...common,
  name: CHANGES,
  description: "Every change of every tracked row",
  subjects: [ALL_CHANGES],
  discard: DiscardPolicy.New,
  max_age: nanos(HISTORY_DAYS * DAY_MS),
  max_msgs_per_subject: -1,
  max_msg_size: MESSAGE_BYTES,
  allow_atomic: true,
  // A mirror answers direct gets in the name of its origin wherever the origin allows them (the server insists), and STATE has no
  // history: the same question would now and then be answered with the newest version only. So CHANGES is read by its leader alone.
  allow_direct: false,
} satisfies Partial<StreamConfig>

export const stateConfig = {
  ...common,
  name: STATE,
  description: "The newest change of every entity, under its sequence in CHANGES",
  mirror: { name: CHANGES },
  discard: DiscardPolicy.Old,
  max_bytes: -1,
  max_age: 0,
  max_msgs_per_subject: 1,
  allow_direct: true,
  // It can be made again from CHANGES; with an fsync for each message it would fall behind (nats.conf has the figures).
  persist_mode: PersistMode.Async,
} satisfies Partial<StreamConfig>

/** STATE as it must be with so many replicas. Behind a Raft log the server syncs by itself, and takes no other way. */
export const stateConfigFor = (replicas: number): Partial<StreamConfig> & { readonly name: string } =>
  replicas === 1 ? stateConfig : { ...stateConfig, persist_mode: PersistMode.Default }

/** An existing stream is not what it must be, and cannot be changed into it. */
export class StreamConflict extends Schema.TaggedError<StreamConflict>()("StreamConflict", {
  stream: Schema.String,
  field: Schema.String,
  message: Schema.String,
  hint: Schema.String,
}) {}

/** What the server does not let change on a stream that exists (denials may be set, not lifted). */
const immutable = ["storage", "retention", "max_consumers", "mirror", "persist_mode"] as const

/** What is the operator's to say when the streams are made. */
export interface StreamBirth {
  readonly replicas: number
  /** Bytes that CHANGES may take; -1 for no bound. */
  readonly maxBytes: number
}

/**
 * Makes the streams or brings them to what they must be, and answers CHANGES as it is. Rejects with a `StreamConflict`, or with the
 * client's error where the server is away.
 */
export const applyStreams = async (nats: Nats, { replicas, maxBytes }: StreamBirth = { replicas: 1, maxBytes: -1 }): Promise<StreamInfo> => {
  // A CHANGES that was lost goes on after the mirror's end: under sequences it has had already the mirror would pass over what is new.
  const state = await streamInfo(nats, STATE)
  const after = state?.state.last_seq ?? 0
  const changes = await apply(nats, changesConfig, await streamInfo(nats, CHANGES), { num_replicas: replicas, max_bytes: maxBytes, ...(after === 0 ? {} : { first_seq: after + 1 }) })
  await apply(nats, stateConfigFor(state?.config.num_replicas ?? replicas), state, { num_replicas: replicas })
  return changes
}

const apply = async (nats: Nats, wanted: Partial<StreamConfig> & { name: string }, existing: StreamInfo | null, atBirth: Partial<StreamConfig>): Promise<StreamInfo> => {
  const { streams } = nats.jetstream
  if (existing === null) return streams.add({ ...wanted, ...atBirth })
  const fields = Object.keys(wanted) as ReadonlyArray<keyof StreamConfig>
  const different = fields.filter((field) => !same(wanted[field], existing.config[field]))
  for (const field of immutable) {
    if (!different.includes(field)) continue
    throw new StreamConflict({
      stream: wanted.name,
      field,
      message: `stream ${wanted.name} exists with ${field} ${JSON.stringify(existing.config[field])}, and must have ${JSON.stringify(wanted[field])}`,
      hint: `that cannot be changed on a stream that exists: use another account, or remove the stream (STATE is made again from CHANGES, CHANGES from the outbox)`,
    })
  }
  return different.length === 0 ? existing : streams.update(wanted.name, { ...existing.config, ...wanted })
}

/** The server leaves out what is nothing: 0, false, "default". A mirror is compared by the name of its origin. */
const same = (wanted: unknown, found: unknown): boolean => {
  if (wanted === PersistMode.Default && found === undefined) return true
  if (typeof wanted === "object" && wanted !== null && "name" in wanted)
    return typeof found === "object" && found !== null && "name" in found && found.name === wanted.name
  return JSON.stringify(wanted) === JSON.stringify(found) || (!wanted && !found)
}

/** The stream as it is, or null where there is none. */
export const streamInfo = async (nats: Nats, name: string): Promise<StreamInfo | null> => {
  try {
    return await nats.jetstream.streams.info(name)
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound) return null
    throw error
  }
}

/** Waits until STATE has taken over everything up to `seq`; false where it has not within `timeoutMs`. */
export const mirrorReached = async (nats: Nats, seq: number, timeoutMs: number): Promise<boolean> => {
  const deadline = Date.now() + timeoutMs
  for (let wait = 1; ; wait = Math.min(wait * 2, 100)) {
    const info = await streamInfo(nats, STATE)
    if (info !== null && info.state.last_seq >= seq) return true
    if (Date.now() + wait > deadline) return false
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
}
