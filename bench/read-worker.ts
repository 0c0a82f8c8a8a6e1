/** The floor of a reading: a process that takes every message by the bare library and throws it away. */
import { jetstream } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { connectionOptions } from "#nats/connection.ts"
import { serve } from "./worker.ts"

const jobs = {
  /** Reads so many messages of the stream. */
  read: async (what: { readonly url: string; readonly stream: string; readonly subjects: ReadonlyArray<string>; readonly count: number }): Promise<void> => {
    const connection = await connect(connectionOptions(what.url, "bench-floor"))
    const consumer = await jetstream(connection).consumers.get(what.stream, { filter_subjects: [...what.subjects] })
    let left = what.count
    for await (const message of await consumer.consume({ max_messages: 5_000 })) if (message.data.length > 0 && --left === 0) break
  },
}
export type ReadJobs = typeof jobs

serve(jobs)
