/**
 * How far the outbox is in the stream. The cursor rides on the last message of every batch, so it becomes durable, and is lost, together
 * with the events it speaks of; before it publishes, a relay reads the last message, and that is all it needs to know.
 *
 * A window is what one snapshot sees and the one before did not, in the order of (largest id of the transaction, id). The cursor says
 * that everything `last` sees is published, and of the `window` everything up to (`tx`, `id`); any prefix of a window is such a place.
 */
import { Schema } from "effect"
import { NOTHING_SEEN, parseSnapshot, upTo } from "./snapshot.ts"

const SnapshotText = Schema.String.check(Schema.makeFilter((text) => parseSnapshot(text) !== null || "not a pg_snapshot"))

export const RelayCursor = Schema.Struct({
  /** The numbering of the stream that is in force from here on (protocol/epoch.ts). */
  epoch: Schema.String,
  /** Which Postgres cluster the snapshots and ids are of. */
  system: Schema.String,
  /** Published as far as this snapshot sees. */
  last: SnapshotText,
  /** Being published, or null where the last window is done. */
  window: Schema.NullOr(SnapshotText),
  /** Of the window: the largest outbox id of the transaction published last. 0 at its beginning. */
  tx: Schema.Finite,
  /** Of the window: the outbox id published last. */
  id: Schema.Finite,
})
export type RelayCursor = typeof RelayCursor.Type

/** The cursor of a stream that has nothing of this outbox. */
export const beginning = (epoch: string, system: string): RelayCursor => ({ epoch, system, last: NOTHING_SEEN, window: null, tx: 0, id: 0 })

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(RelayCursor))

/** For the `Tide-Cursor` header: one line. */
export const formatCursor = (cursor: RelayCursor): string => JSON.stringify(cursor)

/** The cursor of a `Tide-Cursor` header, or null where it is none. */
export const parseCursor = (header: string): RelayCursor | null => {
  const cursor = decode(header)
  return cursor._tag === "Some" ? cursor.value : null
}

/** Everything that `window` sees is published. */
export const windowDone = (cursor: RelayCursor, window: string): RelayCursor => ({ ...cursor, last: window, window: null, tx: 0, id: 0 })

/** Of `window`, everything up to this row is published. */
export const advance = (cursor: RelayCursor, window: string, tx: number, id: number): RelayCursor => ({ ...cursor, window, tx, id })

/**
 * The cursor as it is published: `last` claims no transaction above the highest that was published. A snapshot sees many that wrote no
 * outbox row. Should Postgres lose the last of them (a replica that was behind is promoted), it gives their ids to others, whose changes
 * must not count as published.
 */
export const claimed = (cursor: RelayCursor, highest: bigint): RelayCursor => ({ ...cursor, last: upTo(cursor.last, highest) })

/** The highest transaction id that may be published of what the cursor says. */
export const highestOf = (cursor: RelayCursor): bigint => {
  const [last, window] = [parseSnapshot(cursor.last)!, cursor.window === null ? null : parseSnapshot(cursor.window)]
  return (window !== null && window.xmax > last.xmax ? window.xmax : last.xmax) - 1n
}
