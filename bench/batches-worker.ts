/** The floor of the relay: the messages that it published, published again by the bare library in atomic batches, one after the other. */
import { jetstream, jetstreamManager, PersistMode } from "@nats-io/jetstream"
import { headers } from "@nats-io/nats-core"
import type { MsgHdrs, NatsConnection } from "@nats-io/nats-core"
import { connect } from "@nats-io/transport-node"
import { connectionOptions } from "#nats/connection.ts"
import { BATCH_MESSAGES } from "#protocol/limits.ts"
import { serve } from "./worker.ts"

interface Message { readonly subject: string; readonly data: Uint8Array; readonly headers: MsgHdrs }

const STREAM = "FLOOR"
const MIRROR = "FLOOR_STATE"
let connection: NatsConnection
let messages: Array<Message> = []

const jobs = {
  /** Reads `count` messages of CHANGES from `from` on, to be published under another subject. Gives their bytes. */
  load: async ({ url, from, count }: { readonly url: string; readonly from: number; readonly count: number }): Promise<number> => {
    connection = await connect(connectionOptions(url, "bench-floor"))
    const consumer = await jetstream(connection).consumers.get("CHANGES", { opt_start_seq: from, deliver_policy: "by_start_sequence" as never })
    messages = []
    let bytes = 0
    for await (const message of await consumer.consume({ max_messages: 5_000 })) {
      messages.push({ subject: message.subject.replace(/^chg/, "floor"), data: message.data, headers: ourHeaders(message.headers) })
      bytes += message.data.length
      if (messages.length === count) break
    }
    return bytes
  },
  /** Publishes them all into an empty stream, with a mirror of the newest of each subject if wanted, as CHANGES has one. Gives milliseconds. */
  publish: async ({ mirrored }: { readonly mirrored: boolean }): Promise<number> => {
    const manager = await jetstreamManager(connection)
    const js = jetstream(connection)
    for (const stream of [MIRROR, STREAM]) await manager.streams.delete(stream).catch(() => {})
    await manager.streams.add({ name: STREAM, subjects: ["floor.>"], allow_atomic: true, allow_msg_ttl: true })
    if (mirrored) await manager.streams.add({ name: MIRROR, mirror: { name: STREAM }, max_msgs_per_subject: 1, allow_msg_ttl: true, persist_mode: PersistMode.Async })
    const started = performance.now()
    for (let at = 0; at < messages.length; at += BATCH_MESSAGES) {
      const [first, ...rest] = messages.slice(at, at + BATCH_MESSAGES)
      const last = rest.pop()
      const batch = await js.startBatch(first!.subject, first!.data, headersOf(first!))
      for (const message of rest) void batch.add(message.subject, message.data, headersOf(message))
      await batch.commit(last!.subject, last!.data, headersOf(last!))
    }
    return performance.now() - started
  },
}
export type BatchesJobs = typeof jobs

const headersOf = (message: Message) => ({ headers: message.headers })

/** The headers less the server's own, which speak of the first batch. */
const ourHeaders = (all: MsgHdrs | undefined): MsgHdrs => {
  const kept = headers()
  for (const [name, values] of all ?? []) if (!name.startsWith("Nats-")) kept.set(name, values[0]!)
  return kept
}

serve(jobs)
