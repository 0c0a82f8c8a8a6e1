/** The floor of a question over NATS: a responder that says the same to all. */
import type { NatsConnection } from "@nats-io/nats-core"
import { connect } from "@nats-io/transport-node"
import { connectionOptions } from "#nats/connection.ts"
import { serve } from "./worker.ts"

let connection: NatsConnection
let reply = ""

const jobs = {
  connect: async ({ url, subject }: { readonly url: string; readonly subject: string }): Promise<void> => {
    connection = await connect(connectionOptions(url, "bench-floor"))
    connection.subscribe(subject, { callback: (_error, message) => void message.respond(reply) })
    await connection.flush()
  },
  /** What is answered from now on. */
  reply: (text: string): void => {
    reply = text
  },
}
export type ReplyJobs = typeof jobs

serve(jobs)
