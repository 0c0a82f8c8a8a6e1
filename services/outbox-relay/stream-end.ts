/** Where the stream ends: the sequence to go on from, and the cursor on its last message. All that a relay needs to know before it publishes. */
import type { StoredMsg } from "@nats-io/jetstream"
import type { Nats } from "#nats/connection.ts"
import type { StreamBirth } from "#nats/streams.ts"
import { applyStreams, CHANGES, STATE, StreamConflict, streamInfo } from "#nats/streams.ts"
import { HEADER } from "#protocol/event.ts"
import type { RelayCursor } from "./cursor.ts"
import { parseCursor } from "./cursor.ts"
import { natsStopped, RelayStopped } from "./errors.ts"

export interface StreamEnd {
  /** When the stream was made: another time is another stream. */
  readonly created: string
  readonly last: number
  /** Where STATE ends: beyond `last` where CHANGES lost its tail and the mirror did not. */
  readonly state: number
  /** Null where nothing was ever published, or nothing of it is left. */
  readonly cursor: RelayCursor | null
}

/** Makes the streams where there are none, and reads the end. Rejects with `RelayStopped`. */
export const readStreamEnd = async (nats: Nats, birth: StreamBirth): Promise<StreamEnd> => {
  try {
    const { created, state } = await applyStreams(nats, birth)
    const last = state.last_seq
    const mirror = await streamInfo(nats, STATE)
    return { created, last, state: mirror?.state.last_seq ?? 0, cursor: last === 0 ? null : await lastCursor(nats, state.first_seq, last) }
  } catch (cause) {
    if (cause instanceof StreamConflict) throw new RelayStopped({ reason: "stream", message: cause.message, hint: cause.hint })
    throw natsStopped(cause)
  }
}

/** The last message has the cursor. Where somebody published by hand after it, one walks back; where it grew too old for CHANGES, STATE has it. */
const lastCursor = async (nats: Nats, first: number, last: number): Promise<RelayCursor | null> => {
  for (let seq = last; seq >= first && seq > last - FOREIGN_MESSAGES; seq--) {
    const cursor = cursorOf(await nats.jetstream.streams.getMessage(CHANGES, { seq }))
    if (cursor !== null) return cursor
  }
  const cursor = cursorOf(await nats.jetstream.direct.getMessage(STATE, { seq: last }))
  if (cursor !== null || first > last) return cursor
  throw new RelayStopped({
    reason: "stream",
    message: `the last ${FOREIGN_MESSAGES} messages of ${CHANGES} carry no cursor of a relay`,
    hint: `only the relay may publish to chg.>; remove the streams to have them made again from the outbox`,
  })
}

const FOREIGN_MESSAGES = 1_000

const cursorOf = (message: StoredMsg | null): RelayCursor | null => {
  const header = message?.header.get(HEADER.cursor) ?? ""
  return header === "" ? null : parseCursor(header)
}
