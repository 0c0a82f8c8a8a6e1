/**
 * The floor of the relay's delay: a bare process that is told of each commit by the writer itself, the row in its NOTIFY, and publishes
 * whatever has come since, one acknowledged atomic batch at a time. It loses what is written while it is away, and knows no order.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import postgres from "postgres"
import { connectionOptions } from "#nats/connection.ts"
import { BATCH_MESSAGES } from "#protocol/limits.ts"
import { serve } from "./worker.ts"

const jobs = {
  /** Publishes what comes on `channel` to a stream that it makes. */
  start: async (to: { readonly databaseUrl: string; readonly natsUrl: string; readonly channel: string; readonly stream: string; readonly subject: string }): Promise<void> => {
    const connection = await connect(connectionOptions(to.natsUrl, "bench-notified"))
    await (await jetstreamManager(connection)).streams.add({ name: to.stream, subjects: [to.subject], allow_atomic: true })
    const js = jetstream(connection)
    let waiting: Array<string> = []
    let publishing = false
    const publish = async (): Promise<void> => {
      publishing = true
      while (waiting.length > 0) {
        const rows = waiting.slice(0, BATCH_MESSAGES)
        waiting = waiting.slice(rows.length)
        const [first, last] = [rows.shift()!, rows.pop()]
        if (last === undefined) {
          await js.publish(to.subject, first)
          continue
        }
        const batch = await js.startBatch(to.subject, first)
        for (const row of rows) void batch.add(to.subject, row)
        await batch.commit(to.subject, last)
      }
      publishing = false
    }
    await postgres(to.databaseUrl, { max: 1 }).listen(to.channel, (row) => {
      waiting.push(row)
      if (!publishing) void publish()
    })
  },
}
export type NotifiedJobs = typeof jobs

serve(jobs)
