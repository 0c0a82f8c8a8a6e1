/**
 * Whether the numbering of the stream goes on or a new one begins, and whether the log must be brought into line with the tables
 * (rebuild.ts). Pure: what the stream says, what Postgres remembers, what is now.
 *
 * Three things may have gone back in time or been replaced by others: CHANGES, STATE, Postgres.
 * - **The stream** lost its end, or is another one: its numbers are used again, so an epoch begins. The cursor went back with the events it
 *   speaks of, and the outbox fills the stream again from there; a rebuild as well where the outbox does not reach back that far.
 * - **Postgres** lost what was published: the stream tells of changes that never happened. An epoch begins, from a snapshot of what is now;
 *   what is in the outbox already stays for the audit, and a rebuild finds what STATE says and the tables do not. How it is told: an
 *   epoch is noted in Postgres before it is opened in the stream, so an epoch that Postgres does not know was forgotten; and
 *   the rows that were published last must be in the outbox. Whatever loses transactions of Postgres (an older backup, a replica that
 *   was behind and is promoted) loses the last ones first. A promoted replica that lost nothing of it goes on as if nothing had been.
 * - **Another cluster** has transaction ids of its own, unless pg_upgrade made it, which keeps them.
 * - **STATE** alone was made anew: no number is used again, but what CHANGES holds no more is not in it: a rebuild.
 *
 * A new epoch costs nobody anything whose position survived, and a rebuild writes only what differs; so in doubt both.
 */
import { Epoch } from "#protocol/epoch.ts"
import { HEADER } from "#protocol/event.ts"
import { changeSubject } from "#protocol/subject.ts"
import type { RelayCursor } from "./cursor.ts"
import { beginning } from "./cursor.ts"
import type { Publishable } from "./publish.ts"
import { meet, parseSnapshot, sees } from "./snapshot.ts"
import type { StreamEnd } from "./stream-end.ts"

/** What the relay noted in Postgres, seldom (`tide.relay_state`). */
export interface Remembered {
  readonly epoch: string
  readonly streamCreated: string
  /** Null where it was noted by a version that did not. */
  readonly stateCreated: string | null
  readonly ackedSeq: number
}

export interface PostgresNow {
  /** Which cluster it is. */
  readonly system: string
  /** Which cluster it was when the relay last noted something; null where it never did. */
  readonly remembers: string | null
  readonly snapshot: string
  /** The largest transaction id of any row that was dropped from the outbox; null: it has every row. */
  readonly dropped: bigint | null
  /** Of the rows that the stream's end tells of, those that are not in the outbox. */
  readonly missing: ReadonlyArray<{ readonly seq: number; readonly xid: string }>
  /** On another cluster than was remembered: the outbox was loaded from a dump, its transaction ids are not this cluster's. */
  readonly loaded: boolean
}

export interface GoOn {
  readonly type: "go on"
  readonly cursor: RelayCursor
  /** Why the log must be brought into line with the tables; null: it need not. */
  readonly rebuild: string | null
  /** What is worth a word though nothing was lost. */
  readonly note: string | null
}

export interface Open {
  readonly type: "open"
  /** To be opened by this event after the stream's last. */
  readonly epoch: Epoch
  /** What to go on from. `last` is null where that is the snapshot taken when it is opened. */
  readonly cursor: Omit<RelayCursor, "last"> & { readonly last: string | null }
  readonly rebuild: boolean
  readonly loaded: boolean
}

export type Decision = GoOn | Open

/** `acked`: the highest sequence this process was acknowledged, beyond what is remembered; `random`: eight characters that tell histories apart. */
export const decideEpoch = (end: StreamEnd, remembered: Remembered | null, acked: number, now: PostgresNow, at: string, random: string): Decision => {
  const { cursor } = end
  const found = lookForLoss(end, remembered, acked, now)
  if (found === null) {
    const rebuild = mirrorLost(end, remembered) ? "STATE was made anew" : end.foreign ? "somebody else published to CHANGES" : null
    const note = cursor!.system === now.system ? null : `Postgres was upgraded: system identifier ${cursor!.system} is now ${now.system}`
    return { type: "go on", cursor: here(cursor!, now), rebuild, note }
  }
  const previous = newer(cursor?.epoch ?? null, remembered?.epoch ?? null)
  const id = `${numberOf(previous) + 1}-${random}`
  const epoch = new Epoch({ id, previous, firstSeq: end.last + 1, reason: found.reason, at })
  const start = beginning(id, now.system)
  if (found.from === "now") return { type: "open", epoch, cursor: { ...start, last: null }, rebuild: true, loaded: now.loaded }
  if (found.from === "beginning") return { type: "open", epoch, cursor: start, rebuild: now.dropped !== null, loaded: false }
  const gap = now.dropped !== null && !sees(parseSnapshot(cursor!.last)!, now.dropped)
  return { type: "open", epoch, cursor: { ...here(cursor!, now), epoch: id }, rebuild: gap || end.foreign || mirrorLost(end, remembered), loaded: false }
}

const mirrorLost = (end: StreamEnd, remembered: Remembered | null): boolean =>
  remembered !== null && remembered.stateCreated !== null && end.stateCreated !== remembered.stateCreated

/** What is lost, and where to go on: from the stream's cursor, from the outbox's beginning, or from what Postgres is now. */
interface Loss {
  readonly reason: string
  readonly from: "cursor" | "beginning" | "now"
}

const lookForLoss = (end: StreamEnd, remembered: Remembered | null, acked: number, now: PostgresNow): Loss | null => {
  const { cursor, last } = end
  if (now.loaded) return { reason: "Postgres was dumped and loaded into another cluster", from: "now" }
  if (cursor === null && end.foreign) return { reason: `the stream's last messages, up to ${last}, are no relay's: it is another stream`, from: "now" }
  if (cursor === null) return { reason: remembered === null ? "the first epoch" : "the stream was made anew", from: "beginning" }
  const postgres = whatPostgresLost(cursor, remembered, now)
  if (postgres !== null) return { reason: postgres, from: "now" }
  const stream = whatTheStreamLost(end, cursor, remembered!, acked)
  return stream === null ? null : { reason: stream, from: "cursor" }
}

const whatPostgresLost = (cursor: RelayCursor, remembered: Remembered | null, now: PostgresNow): string | null => {
  if (cursor.system !== now.system && (now.remembers === null || now.remembers === now.system)) return "the stream is of another Postgres cluster"
  if (cursor.system !== now.system && cursor.system !== now.remembers) return "the stream and Postgres are of different clusters"
  if (parseSnapshot(cursor.last)!.xmax > parseSnapshot(now.snapshot)!.xmax) return "Postgres went back in time: it was restored from a backup"
  if (remembered === null) return "Postgres knows of no epoch, the stream does: Postgres was restored from a backup, or the stream is another's"
  if (numberOf(cursor.epoch) > numberOf(remembered.epoch)) return `Postgres does not know epoch ${cursor.epoch}: it was restored from a backup`
  const lost = now.missing.find(({ seq, xid }) => now.dropped === null || BigInt(xid) > now.dropped || seq > remembered.ackedSeq)
  if (lost !== undefined) return `Postgres has lost transaction ${lost.xid}, which is at ${lost.seq} in the stream: it was restored from a backup, or was a replica that was behind`
  return null
}

const whatTheStreamLost = (end: StreamEnd, cursor: RelayCursor, remembered: Remembered, acked: number): string | null => {
  const { last, state, created } = end
  if (state > last) return `the stream ends at ${last}, its mirror at ${state}: its tail was lost`
  if (cursor.epoch !== remembered.epoch) return "the stream is of an older epoch: it was restored from a backup"
  if (created !== remembered.streamCreated) return "the stream was made anew"
  const known = Math.max(remembered.ackedSeq, acked)
  return last < known ? `the stream ends at ${last}, ${known} was acknowledged: its tail was lost` : null
}

/**
 * The stream's cursor in the Postgres that is here. A window that was not finished is cut down to what has ended here: a replica that was
 * promoted may have lost transactions that the window saw and that were not published, and may give their ids to others.
 */
const here = (cursor: RelayCursor, now: PostgresNow): RelayCursor => ({
  ...cursor,
  system: now.system,
  window: cursor.window === null ? null : meet(cursor.window, now.snapshot),
})

const numberOf = (epoch: string | null): number => (epoch === null ? 0 : Number.parseInt(epoch, 10) || 0)
const newer = (a: string | null, b: string | null): string | null => (numberOf(b) > numberOf(a) ? b : (a ?? b))

/** The event that opens an epoch. Its transaction is none of Postgres': 0. */
export const epochMessage = (epoch: Epoch): Publishable => ({
  subject: changeSubject({ scope: null, entity: "_epoch", id: epoch.id }),
  headers: `${HEADER.operation}: INSERT\r\n${HEADER.transaction}: 0, 1/1\r\n${HEADER.at}: ${epoch.at}\r\n`,
  body: JSON.stringify(epoch),
})
