/** The two streams as the server tells of them, and the relay's cursor in the newest message. */
import type { StreamInfo } from "@nats-io/jetstream"
import { Effect, Option, Schema } from "effect"
import type { Nats } from "#nats/connection.ts"
import { CHANGES, STATE, streamInfo } from "#nats/streams.ts"
import { HEADER } from "#protocol/event.ts"
import { CommandFailed } from "../failure.ts"
import { RelayCursor } from "./backlog.ts"

export interface StreamFacts {
  readonly name: string
  readonly messages: number
  readonly bytes: number
  readonly first: number
  readonly last: number
  readonly subjects: number
  readonly consumers: number
  /** ISO 8601: when the newest message was stored, or null. */
  readonly lastAt: string | null
}

export interface Streams {
  /** Null where there is no such stream. */
  readonly changes: StreamFacts | null
  readonly state: StreamFacts | null
  readonly cursor: RelayCursor | null
}

/** Talks to the server; what it refuses becomes a failure that says what to do. */
export const askNats = <A>(run: () => Promise<A>): Effect.Effect<A, CommandFailed> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => new CommandFailed({
      message: `nats-server: ${cause instanceof Error ? cause.message : String(cause)}.`,
      hint: "Is it up with JetStream, and are the credentials in NATS_URL those of the operator?",
    }),
  })

/** Null where there is no such stream. */
export const readStream = (nats: Nats, name: string): Effect.Effect<StreamInfo | null, CommandFailed> => askNats(() => streamInfo(nats, name))

export const readStreams = (nats: Nats): Effect.Effect<Streams, CommandFailed> =>
  Effect.gen(function* () {
    const [changes, state] = yield* Effect.all([readStream(nats, CHANGES), readStream(nats, STATE)], { concurrency: 2 })
    return { changes: changes && facts(changes), state: state && facts(state), cursor: changes === null ? null : yield* relayCursor(nats, changes.state.last_seq) }
  })

/** The cursor in the message with this sequence, the stream's last; null where the stream is empty or what stands there is none. */
const relayCursor = (nats: Nats, lastSeq: number): Effect.Effect<RelayCursor | null, CommandFailed> =>
  Effect.gen(function* () {
    if (lastSeq === 0) return null
    const message = yield* askNats(() => nats.jetstream.streams.getMessage(CHANGES, { seq: lastSeq }))
    const header = message?.header.get(HEADER.cursor) ?? ""
    return Option.getOrNull(Schema.decodeUnknownOption(Schema.fromJsonString(RelayCursor))(header))
  })

const facts = ({ config, state }: StreamInfo): StreamFacts => ({
  name: config.name,
  messages: state.messages,
  bytes: state.bytes,
  first: state.first_seq,
  last: state.last_seq,
  subjects: state.num_subjects ?? 0,
  consumers: state.consumer_count,
  lastAt: state.messages === 0 ? null : state.last_ts,
})
