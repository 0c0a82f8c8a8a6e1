/** Where the stream ends: the sequence to go on from, and the cursor on its last message. All that a relay needs to know before it publishes. */
import type { StoredMsg } from "@nats-io/jetstream"
import type { Nats } from "#nats/connection.ts"
import type { StreamBirth } from "#nats/streams.ts"
import { applyStreams, CHANGES, STATE, StreamConflict, streamInfo } from "#nats/streams.ts"
import { HEADER } from "#protocol/event.ts"
import { parseSubject } from "#protocol/subject.ts"
import type { RelayCursor } from "./cursor.ts"
import { parseCursor } from "./cursor.ts"
import { natsStopped, RelayStopped } from "./errors.ts"
import { BATCH_ID, BATCH_SEQUENCE } from "./publish.ts"

export interface StreamEnd {
  /** When the stream was made: another time is another stream. */
  readonly created: string
  readonly last: number
  /** Where STATE ends: beyond `last` where CHANGES lost its tail and the mirror did not. */
  readonly state: number
  /** Null where nothing was ever published, or nothing of it is left. */
  readonly cursor: RelayCursor | null
  /** Rows that stand after the cursor: the server stored a part of a batch and then had no room, or a copy of its store was cut there. */
  readonly torn: Torn | null
}

export interface Torn {
  /** The window that the batch was of. */
  readonly window: string
  readonly rows: number
}

/** Makes the streams where there are none, and reads the end. Rejects with `RelayStopped`. */
export const readStreamEnd = async (nats: Nats, birth: StreamBirth): Promise<StreamEnd> => {
  try {
    const { created, state } = await applyStreams(nats, birth)
    const last = state.last_seq
    const mirror = await streamInfo(nats, STATE)
    const end = last === 0 ? { cursor: null, torn: null } : await lastCursor(nats, state.first_seq, last)
    return { created, last, state: mirror?.state.last_seq ?? 0, ...end }
  } catch (cause) {
    if (cause instanceof StreamConflict) throw new RelayStopped({ reason: "stream", message: cause.message, hint: cause.hint })
    throw natsStopped(cause)
  }
}

/**
 * The last message has the cursor. Where somebody published by hand after it, or a batch is not there whole, one walks back; where it grew too old
 * for CHANGES, STATE has it.
 */
const lastCursor = async (nats: Nats, first: number, last: number): Promise<Pick<StreamEnd, "cursor" | "torn">> => {
  const after: Array<StoredMsg> = []
  for (let seq = last; seq >= first && seq > last - FOREIGN_MESSAGES; seq--) {
    const message = await nats.jetstream.streams.getMessage(CHANGES, { seq })
    const cursor = cursorOf(message)
    if (cursor !== null) return { cursor, torn: tornBatch(after.reverse()) }
    if (message !== null) after.push(message)
  }
  const cursor = cursorOf(await nats.jetstream.direct.getMessage(STATE, { seq: last }))
  if (cursor !== null || first > last) return { cursor, torn: null }
  throw new RelayStopped({
    reason: "stream",
    message: `the last ${FOREIGN_MESSAGES} messages of ${CHANGES} carry no cursor of a relay`,
    hint: `only the relay may publish to chg.>; remove the streams to have them made again from the outbox`,
  })
}

const FOREIGN_MESSAGES = 1_000

/** What these messages begin with, where that is a batch without its end. An epoch's are no rows. */
const tornBatch = (messages: ReadonlyArray<StoredMsg>): Torn | null => {
  const window = messages[0]?.header.get(HEADER.window) ?? ""
  const batch = messages[0]?.header.get(BATCH_ID)
  if (window === "" || parseSubject(messages[0]!.subject)?.entity === "_epoch") return null
  const end = messages.findIndex((message, i) => message.header.get(BATCH_ID) !== batch || message.header.get(BATCH_SEQUENCE) !== String(i + 1))
  return { window, rows: end < 0 ? messages.length : end }
}

const cursorOf = (message: StoredMsg | null): RelayCursor | null => {
  const header = message?.header.get(HEADER.cursor) ?? ""
  return header === "" ? null : parseCursor(header)
}
