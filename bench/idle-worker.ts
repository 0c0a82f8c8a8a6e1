/** The floor of a sleeping relay: a process with the same connections that does nothing. */
import { connect } from "@nats-io/transport-node"
import postgres from "postgres"
import { connectionOptions } from "#nats/connection.ts"
import { serve } from "./worker.ts"

const jobs = {
  open: async (to: { readonly databaseUrl: string; readonly natsUrl: string; readonly name: string; readonly sessions: number }): Promise<void> => {
    await connect(connectionOptions(to.natsUrl, to.name))
    const sql = postgres(to.databaseUrl, { max: to.sessions, idle_timeout: 0, max_lifetime: null, connection: { application_name: to.name } })
    await Promise.all(Array.from({ length: to.sessions }, () => sql`select pg_sleep(0.1)`))
  },
}
export type IdleJobs = typeof jobs

serve(jobs)
