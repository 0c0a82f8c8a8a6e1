/** Where the stream ends: the sequence to go on from, the cursor there, and what was published last. All that a relay needs to know before it publishes. */
import type { StoredMsg } from "@nats-io/jetstream"
import type { Nats } from "#nats/connection.ts"
import type { StreamBirth } from "#nats/streams.ts"
import { applyStreams, CHANGES, STATE, StreamConflict, streamInfo } from "#nats/streams.ts"
import { HEADER, parseTransaction } from "#protocol/event.ts"
import { WITNESSES, WITNESSES_AT_ONCE } from "#protocol/limits.ts"
import { parseSubject } from "#protocol/subject.ts"
import type { RelayCursor } from "./cursor.ts"
import { parseCursor } from "./cursor.ts"
import { natsStopped, RelayStopped } from "./errors.ts"
import { BATCH_ID, BATCH_SEQUENCE } from "./publish.ts"

export interface StreamEnd {
  /** When the streams were made: another time is another stream. */
  readonly created: string
  readonly stateCreated: string
  readonly last: number
  /** Where STATE ends: beyond `last` where CHANGES lost its tail and the mirror did not. */
  readonly state: number
  /** Null where nothing was ever published, or nothing of it is left. */
  readonly cursor: RelayCursor | null
  /** Rows that stand after the cursor: the server stored a part of a batch and then had no room, or a copy of its store was cut there. */
  readonly torn: Torn | null
  /** Messages after the cursor's, which no relay wrote; where there is no cursor at all it is another stream. */
  readonly foreign: boolean
  /** Outbox rows that the last messages are of, of one window at least, as far back as the last epoch or WITNESSES. */
  readonly published: ReadonlyArray<Witness>
}

/** An outbox row by what its message says of it. */
export interface Witness {
  readonly seq: number
  readonly xid: string
  readonly entity: string
  readonly id: string
  readonly at: string
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
    const { first_seq: first, last_seq: last } = state
    const mirror = await streamInfo(nats, STATE)
    const tail = await lastMessages(nats, first, last)
    return { created, stateCreated: mirror?.created ?? "", last, state: mirror?.state.last_seq ?? 0, ...tail }
  } catch (cause) {
    if (cause instanceof StreamConflict) throw new RelayStopped({ reason: "stream", message: cause.message, hint: cause.hint })
    throw natsStopped(cause)
  }
}

type Tail = Pick<StreamEnd, "cursor" | "torn" | "foreign" | "published">

/**
 * Walks back from the end. The last message has the cursor, unless somebody published by hand after it or a batch is not there whole; where it
 * grew too old for CHANGES, STATE has it. An earlier cursor that leaves no window unfinished, or an epoch, ends the walk: what is before is
 * of earlier windows.
 */
const lastMessages = async (nats: Nats, first: number, last: number): Promise<Tail> => {
  const after: Array<StoredMsg> = []
  const published: Array<Witness> = []
  let cursor: RelayCursor | null = null
  const tail = (): Tail => {
    const torn = cursor === null ? null : tornBatch(after.toReversed())
    const rows = torn === null ? [] : after.toReversed().slice(0, torn.rows)
    return { cursor, torn, foreign: after.length > rows.length, published: [...published, ...rows.flatMap(witnessOf)] }
  }
  const end = Math.max(1, first, last - WITNESSES + 1)
  for (let seq = last; seq >= end; ) {
    const count = Math.min(seq - end + 1, seq === last ? 1 : WITNESSES_AT_ONCE)
    const messages = await Promise.all(Array.from({ length: count }, (_, i) => nats.jetstream.streams.getMessage(CHANGES, { seq: seq - i })))
    seq -= count
    for (const message of messages) {
      if (message === null) continue
      const here = cursorOf(message)
      if (cursor !== null && here !== null && here.window === null) return tail()
      cursor ??= here
      if (cursor === null) after.push(message)
      else if (parseSubject(message.subject)?.entity === "_epoch") return tail()
      else published.push(...witnessOf(message))
    }
  }
  if (cursor === null && last > 0 && first > last) cursor = cursorOf(await nats.jetstream.direct.getMessage(STATE, { seq: last }))
  return tail()
}

/** None for what is no change, and for what stands in the place of one that was set aside: it does not say when that was made. */
const witnessOf = ({ seq, subject, header }: StoredMsg): ReadonlyArray<Witness> => {
  const [address, place, at] = [parseSubject(subject), parseTransaction(header.get(HEADER.transaction)), header.get(HEADER.at)]
  return address === null || address.entity === "_aside" || place === null || at === "" ? [] : [{ seq, xid: place.xid, entity: address.entity, id: address.id, at }]
}

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
