/**
 * Hop 2: rows of `tide.outbox` (from db/functions/02_capture.sql) become messages of CHANGES (nats/streams.ts). Every committed row
 * exactly once, transactions whole, in commit order for each entity.
 *
 * Who knows what. The outbox has the rows; the stream has how far they are in it (the cursor on its last message); this process has
 * nothing that it could not read again. So whatever fails, the answer is the same: stop, read where the stream ends, go on from there.
 * - The process dies: the next one reads the end.
 * - A publish has no answer: it may have landed or not; the end tells.
 * - The server lost acknowledged messages: the cursor went back with them, an epoch is opened, the outbox fills the stream again.
 * - Postgres lost what is in the stream, or either is another: an epoch is opened, and a rebuild makes the log say what the tables do.
 * - Another relay wrote: the fence refuses; the lease is let go and tried for again.
 * - Postgres goes: so do the lease and the wake lock; writers find the lock free and notify whoever comes.
 */
import { randomBytes } from "node:crypto"
import type { Nats } from "#nats/connection.ts"
import type { StreamBirth } from "#nats/streams.ts"
import type { Sql } from "#db/postgres.ts"
import { BATCH_MESSAGES, MESSAGE_BYTES, RELAY_NOTE_MS, RELAY_RETRY_MS } from "#protocol/limits.ts"
import type { Bell } from "./bell.ts"
import type { RelayCursor } from "./cursor.ts"
import { claimed, highestOf } from "./cursor.ts"
import { decideEpoch, epochMessage } from "./epoch.ts"
import type { Decision, Remembered } from "./epoch.ts"
import { natsStopped, postgresStopped } from "./errors.ts"
import type { Lease } from "./lease.ts"
import { publishWindows } from "./loop.ts"
import { note, noteOpening, noteRebuild, recall } from "./memory.ts"
import * as metrics from "./metrics.ts"
import type { Batch } from "./pack.ts"
import type { Progress } from "./progress.ts"
import type { Publisher } from "./publish.ts"
import { publisher } from "./publish.ts"
import { keepPartitions } from "./retention.ts"
import { watchRoom } from "./room.ts"
import { setAside } from "./set-aside.ts"
import type { Status } from "./status.ts"
import type { StreamEnd } from "./stream-end.ts"
import { readStreamEnd } from "./stream-end.ts"
import { afterTorn } from "./torn.ts"
import { waker } from "./wake.ts"

export interface Work {
  readonly nats: Nats
  readonly lease: Lease
  /** For reading the outbox. */
  readonly sql: Sql
  /** Rung by notifications, and by whatever else the loop must not sleep through. */
  readonly bell: Bell
  readonly status: Status
  readonly outboxDays: number
  readonly outboxWarnBytes: number
  readonly birth: StreamBirth
  /** Told how far everything is published. */
  readonly progress: Progress
  /** Called when there may be something to rebuild. */
  readonly rebuild: () => void
  readonly stopped: () => boolean
}

/** Works until it is stopped. Rejects with `RelayStopped` where the lease must be let go: Postgres is away, or another relay is active. */
export const work = async (on: Work): Promise<void> => {
  const { nats, lease, sql, status, stopped } = on
  /** What this process was acknowledged, of the epoch in force. */
  let known: Remembered | null = null
  /** The highest transaction id of what is published. */
  let highest = 0n
  let noted = 0
  const noteKnown = async (): Promise<void> => {
    if (known === null || known.ackedSeq === noted || lease.lost()) return
    const now = known
    await note(lease.session, now)
    noted = now.ackedSeq
  }
  const noting = setInterval(() => void noteKnown().catch(() => {}), RELAY_NOTE_MS)
  /** What the stream holds whole, as far as it was acknowledged. */
  let published: string | null = null
  const retention = keepPartitions(lease.session, on.outboxDays, () => (lease.lost() ? null : published), (why) =>
    status.warn(`the outbox's partitions could not be looked after: ${why}`, "trying again within the hour; npx tideline doctor says how large the outbox is"))
  const room = watchRoom({ session: lease.session, nats, warnBytes: on.outboxWarnBytes, published: () => (lease.lost() ? null : published), warn: status.warn })
  let moved = false
  /** To be said as soon as something was published, or there is nothing to publish: that the stream can be read says little. */
  let works: string | null = null
  let loud = false
  const sayWorks = (): void => {
    if (works !== null) void status.working(works, loud)
    works = null
  }
  const stopListening = nats.onStatus(() => {
    moved = true
    on.bell.ring()
  })
  lease.onLost(on.bell.ring)
  const wake = waker(lease.session, on.bell)
  const aside = setAside(lease.session, () => nats.connection.info?.max_payload ?? MESSAGE_BYTES, status.warn)
  metrics.asleepIs(wake.state)

  /** Reads where the stream ends, opens an epoch if need be, and publishes from there on. Returns only when stopped. */
  const fromTheEnd = async (): Promise<void> => {
    if (!nats.connected()) throw natsStopped(new Error("there is no connection"))
    moved = false
    const end = await readStreamEnd(nats, on.birth)
    const { remembered, now } = await recall(lease.session, end.published)
    const acked = known === null || known.epoch !== remembered?.epoch ? 0 : known.ackedSeq
    const decision = decideEpoch(end, remembered, acked, now, new Date().toISOString(), randomBytes(4).toString("hex"))
    const out = publisher(nats, end.last)
    try {
      await goOn(out, end, decision)
    } finally {
      out.close()
    }
  }

  const goOn = async (out: Publisher, end: StreamEnd, decision: Decision): Promise<void> => {
    // Where it does not go on from the stream's cursor, what the stream ends with counts for nothing.
    const goesOn = end.torn !== null && end.cursor?.last === decision.cursor.last
    const found = goesOn ? await afterTorn(sql, end.torn!, decision.cursor as RelayCursor) : decision.cursor
    let cursor: RelayCursor
    let last = end.last
    if (decision.type === "open") {
      // From here on Postgres knows of the epoch: a note of what was acknowledged in the one before would take that back.
      known = null
      const snapshot = await noteOpening(lease.session, end, decision)
      cursor = { ...found, last: found.last ?? snapshot }
      // Once, or as often as it takes to get past the end of a mirror that did not lose what CHANGES lost: up to there it takes nothing new.
      const message = epochMessage(decision.epoch)
      for (let missing = Math.max(1, end.state - end.last + 1); missing > 0; missing -= BATCH_MESSAGES) {
        const batch = Array.from({ length: Math.min(missing, BATCH_MESSAGES) }, () => message)
        await out.put(batch, cursor, (seq) => (last = seq))
      }
      await out.settle()
    } else cursor = found as RelayCursor
    highest = highestOf(cursor)
    known = { epoch: cursor.epoch, streamCreated: end.created, stateCreated: end.stateCreated, ackedSeq: last }
    if (decision.type === "go on" && decision.rebuild !== null) await noteRebuild(lease.session, known, decision.rebuild)
    else await note(lease.session, known)
    noted = last
    published = cursor.last
    if (decision.type === "go on" && decision.note !== null) await status.note(decision.note)
    metrics.epochNumber.set(Number.parseInt(cursor.epoch, 10))
    metrics.ackedSeq.set(last)
    works = decision.type === "open" ? `epoch ${cursor.epoch}: ${decision.epoch.reason}` : `going on after ${last}`
    room.look()
    await aside.refresh(cursor.last, true)
    const takes = nats.connection.info?.max_payload ?? MESSAGE_BYTES
    if (takes < MESSAGE_BYTES) status.warn(`the server takes messages of ${takes} bytes, rows may make ones of ${MESSAGE_BYTES}`, `set max_payload to ${MESSAGE_BYTES} in the server's configuration; until then larger rows are set aside`)
    loud = decision.type === "open" && decision.epoch.previous !== null
    on.rebuild()
    await publishWindows({ sql, aside, stopped, put: (batch, place) => put(out, batch, place), caughtUp: (window) => caughtUp(out, window), flooded: wake.flooded, next }, cursor)
    await out.settle()
  }

  const put = (out: Publisher, batch: Batch, cursor: RelayCursor): Promise<void> => {
    if (lease.lost()) return Promise.reject(postgresStopped(new Error("the session with the lease has ended")))
    for (const { row } of batch) if (Number(row.xid) > highest) highest = BigInt(row.xid)
    return out.put(batch, claimed(cursor, highest), (seq) => {
      known = { ...known!, ackedSeq: seq }
      published = cursor.last
      sayWorks()
      if (cursor.window === null) on.progress.published(cursor.last, seq)
      metrics.ackedSeq.set(seq)
      metrics.published(batch)
    })
  }

  /** Nothing is left of what this snapshot sees. */
  const caughtUp = async (out: Publisher, window: string): Promise<void> => {
    await out.settle()
    published = window
    sayWorks()
    retention.tick()
    on.progress.published(window, known!.ackedSeq)
  }

  const next = async (transactions: number, window: string): Promise<void> => {
    await wake.next(transactions, window)
    if (moved) throw natsStopped(new Error("the connection was lost"))
    if (lease.lost()) throw postgresStopped(new Error("the session with the lease has ended"))
  }

  try {
    while (!stopped()) {
      try {
        metrics.active.set(1)
        await fromTheEnd()
      } catch (cause) {
        const reason = postgresStopped(cause)
        metrics.stops.add()
        if (reason.reason === "postgres" || reason.reason === "fenced" || lease.lost()) throw reason
        await status.stopped(reason)
        if (!stopped()) await on.bell.wait(nats.connected() && reason.reason === "nats" ? 50 : RELAY_RETRY_MS)
      }
    }
    await noteKnown().catch(() => {})
  } finally {
    metrics.active.set(0)
    clearInterval(noting)
    retention.stop()
    room.stop()
    stopListening()
  }
}
