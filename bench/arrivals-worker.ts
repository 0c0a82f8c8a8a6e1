/** A follower of a stream in a process of its own: notes when each numbered row arrived, which is after it was stored. */
import { jetstream } from "@nats-io/jetstream"
import type { ConsumerMessages } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { connectionOptions } from "#nats/connection.ts"
import { clockMs } from "./clock.ts"
import { serve } from "./worker.ts"

interface Arrivals { readonly stream: string; readonly subject: string; readonly from: number; readonly count: number }

/** Milliseconds without a message after which the rest is given up. */
const GIVE_UP_MS = 20_000
const NUMBER = /"n":(\d+)/
let arrived = new Float64Array()
let whole: Promise<void> = Promise.resolve()

const jobs = {
  /** Begins to follow what is stored from now on; the rows wanted have `n` from `from` on. */
  begin: async ({ url, stream, subject, from, count }: Arrivals & { readonly url: string }): Promise<void> => {
    const connection = await connect(connectionOptions(url, "bench-arrivals"))
    const consumer = await jetstream(connection).consumers.get(stream, { filter_subjects: subject, deliver_policy: "new" as never })
    const messages = await consumer.consume({ max_messages: 5_000 })
    arrived = new Float64Array(count)
    whole = note(messages, from).finally(() => void connection.close())
    whole.catch(() => {})
  },
  /** `clockMs()` at which number `from + i` arrived, once all have. */
  end: async (): Promise<Float64Array> => {
    await whole
    return arrived
  },
}
export type ArrivalsJobs = typeof jobs

const note = async (messages: ConsumerMessages, from: number): Promise<void> => {
  let missing = arrived.length
  let heardAt = clockMs()
  const watch = setInterval(() => clockMs() - heardAt > GIVE_UP_MS && messages.stop(), 1_000)
  for await (const message of messages) {
    heardAt = clockMs()
    const i = Number(NUMBER.exec(message.string())?.[1] ?? -1) - from
    if (!(i >= 0 && i < arrived.length) || arrived[i] !== 0) continue
    arrived[i] = heardAt
    if (--missing === 0) break
  }
  clearInterval(watch)
  if (missing > 0) throw new Error(`${missing} of ${arrived.length} rows did not arrive`)
}

serve(jobs)
