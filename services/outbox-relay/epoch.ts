/**
 * Whether the numbering of the stream goes on or a new one begins. Pure: what the stream says, what Postgres remembers, what is now.
 *
 * A new epoch costs nobody anything whose position survived, so in doubt one is opened. It is an event of its own, the first message after
 * the end that was found, and it carries the cursor to go on from.
 */
import { Epoch } from "#protocol/epoch.ts"
import { HEADER } from "#protocol/event.ts"
import { changeSubject } from "#protocol/subject.ts"
import type { RelayCursor } from "./cursor.ts"
import { beginning } from "./cursor.ts"
import type { Publishable } from "./publish.ts"
import { parseSnapshot } from "./snapshot.ts"
import type { StreamEnd } from "./stream-end.ts"

/** What the relay noted in Postgres, seldom (`tide.relay_state`). */
export interface Remembered {
  readonly epoch: string
  readonly streamCreated: string
  readonly ackedSeq: number
}

export interface PostgresNow {
  readonly system: string
  /** The first transaction id that is not given out yet. */
  readonly xmax: bigint
}

export type Decision =
  | { readonly type: "go on"; readonly cursor: RelayCursor }
  /** Open an epoch with this event after `last`, then go on from the cursor. */
  | { readonly type: "open"; readonly epoch: Epoch; readonly cursor: RelayCursor }

/** `acked`: the highest sequence this process was acknowledged, beyond what is remembered; `random`: eight characters that tell histories apart. */
export const decideEpoch = (end: StreamEnd, remembered: Remembered | null, acked: number, now: PostgresNow, at: string, random: string): Decision => {
  const reason = whyOpen(end, remembered, acked, now)
  if (reason === null) return { type: "go on", cursor: end.cursor! }
  const previous = newer(end.cursor?.epoch ?? null, remembered?.epoch ?? null)
  const id = `${numberOf(previous) + 1}-${random}`
  const epoch = new Epoch({ id, previous, firstSeq: end.last + 1, reason: reason.text, at })
  const from = end.cursor === null || reason.afresh ? beginning(id, now.system) : end.cursor
  return { type: "open", epoch, cursor: { ...from, epoch: id } }
}

/** `afresh`: the cursor says nothing about this Postgres; the whole outbox is published again. */
const whyOpen = (end: StreamEnd, remembered: Remembered | null, acked: number, now: PostgresNow): { text: string; afresh: boolean } | null => {
  const { cursor } = end
  if (cursor === null) return { text: remembered === null ? "the first epoch" : "the stream was made anew", afresh: true }
  if (cursor.system !== now.system) return { text: "another Postgres cluster", afresh: true }
  if ([cursor.last, cursor.window].some((text) => text !== null && parseSnapshot(text)!.xmax > now.xmax))
    return { text: "Postgres went back in time: it was restored from a backup", afresh: true }
  if (end.state > end.last) return { text: `the stream ends at ${end.last}, its mirror at ${end.state}: its tail was lost`, afresh: false }
  if (remembered === null) return null
  // Opened after what is remembered was noted: what is remembered is of an older numbering.
  if (numberOf(cursor.epoch) > numberOf(remembered.epoch)) return null
  if (cursor.epoch !== remembered.epoch) return { text: "the stream is of an older epoch: it was restored from a backup", afresh: false }
  if (end.created !== remembered.streamCreated) return { text: "the stream was made anew", afresh: false }
  const known = Math.max(remembered.ackedSeq, acked)
  if (end.last < known) return { text: `the stream ends at ${end.last}, ${known} was acknowledged: its tail was lost`, afresh: false }
  return null
}

const numberOf = (epoch: string | null): number => (epoch === null ? 0 : Number.parseInt(epoch, 10) || 0)
const newer = (a: string | null, b: string | null): string | null => (numberOf(b) > numberOf(a) ? b : (a ?? b))

/** The event that opens an epoch. Its transaction is none of Postgres': 0. */
export const epochMessage = (epoch: Epoch): Publishable => ({
  subject: changeSubject({ scope: null, entity: "_epoch", id: epoch.id }),
  headers: `${HEADER.operation}: INSERT\r\n${HEADER.transaction}: 0, 1/1\r\n${HEADER.at}: ${epoch.at}\r\n`,
  body: JSON.stringify(epoch),
})
