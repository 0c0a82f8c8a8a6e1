/** Writes changes to the streams as the relay would, for tests that need a log and no Postgres. */
import { headers as makeHeaders, nuid } from "@nats-io/nats-core"
import type { Nats } from "#nats/connection.ts"
import { mirrorReached } from "#nats/streams.ts"
import { encodeHeader, formatTransaction, HEADER } from "#protocol/event.ts"
import type { Address } from "#protocol/subject.ts"
import { changeSubject } from "#protocol/subject.ts"

export interface AppendedChange extends Address {
  /** Empty for a deletion. */
  readonly body: string
  readonly user?: string
  readonly before?: string
}

let xid = 0

/** Appends the changes (at most 1,000) as one transaction and waits until STATE has them; answers the last sequence. */
export const appendChanges = async (nats: Nats, changes: ReadonlyArray<AppendedChange>): Promise<number> => {
  const batch = nuid.next()
  xid++
  let last = 0
  for (const [i, change] of changes.entries()) {
    const headers = makeHeaders()
    headers.set(HEADER.operation, change.body === "" ? "DELETE" : "UPDATE")
    headers.set(HEADER.transaction, formatTransaction({ xid: String(xid), position: i + 1, count: changes.length }))
    headers.set(HEADER.at, new Date().toISOString().replace("Z", "000Z"))
    if (change.user !== undefined) headers.set(HEADER.user, encodeHeader(change.user))
    if (change.before !== undefined) headers.set(HEADER.before, encodeHeader(change.before))
    headers.set("Nats-Batch-Id", batch)
    headers.set("Nats-Batch-Sequence", String(i + 1))
    const subject = changeSubject(change)
    if (i < changes.length - 1) nats.connection.publish(subject, change.body, { headers })
    else {
      headers.set("Nats-Batch-Commit", "1")
      const ack = (await nats.connection.request(subject, change.body, { headers, timeout: 10_000 })).json<{ seq?: number; error?: { description: string } }>()
      if (ack.seq === undefined) throw new Error(`the batch was refused: ${ack.error?.description ?? "no reason given"}`)
      last = ack.seq
    }
  }
  if (!(await mirrorReached(nats, last, 10_000))) throw new Error("STATE did not follow")
  return last
}
