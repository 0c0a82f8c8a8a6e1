/**
 * Publishing batches, each whole or not at all, one after the other. While the server stores one batch the messages of the next are on
 * their way, but for its last: that one commits it, and waits until the batch before is acknowledged. Each batch names the sequence it
 * must follow; the server checks when it commits, so whoever wakes from a pause and finds another has written is refused.
 */
import { nuid } from "@nats-io/nats-core"
import type { MsgHdrs } from "@nats-io/nats-core"
import type { Nats } from "#nats/connection.ts"
import { PUBLISH_TIMEOUT_MS } from "#protocol/limits.ts"
import { HEADER } from "#protocol/event.ts"
import type { RelayCursor } from "./cursor.ts"
import { formatCursor } from "./cursor.ts"
import { natsStopped, RelayStopped } from "./errors.ts"

/** What a message is made of: header lines, each with its line end. */
export interface Publishable {
  readonly subject: string
  readonly headers: string
  readonly body: string
}

export interface Publisher {
  /**
   * Publishes the messages (one at least) as one batch with this cursor. Resolves when the next one may be handed over; `acked` is called
   * when it is in the stream, in order. Rejects, now or at the next call, with `RelayStopped`; then nothing more must be published
   * before the stream's end was read again.
   */
  readonly put: (messages: ReadonlyArray<Publishable>, cursor: RelayCursor, acked: (lastSeq: number) => void) => Promise<void>
  /** Resolves when everything handed over is in the stream. */
  readonly settle: () => Promise<void>
}

/** A publisher whose first batch must follow the sequence `last`. */
export const publisher = (nats: Nats, last: number): Publisher => {
  let expected = last
  let inFlight: Promise<void> = Promise.resolve()

  return {
    put: async (messages, cursor, acked) => {
      const batch = messages.length > 1 ? nuid.next() : null
      const end = messages.length - 1
      const follows = expected
      const header = (i: number): string =>
        messages[i]!.headers +
        (batch === null ? "" : `Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${i + 1}\r\n`) +
        (i === 0 ? `Nats-Expected-Last-Sequence: ${follows}\r\n` : "")
      for (let i = 0; i < end; i++) {
        const { subject, body } = messages[i]!
        nats.connection.publish(subject, body, { headers: lines(header(i)) })
      }
      await inFlight
      const commit = `${header(end)}${batch === null ? "" : "Nats-Batch-Commit: 1\r\n"}${HEADER.cursor}: ${formatCursor(cursor)}\r\n`
      expected = follows + messages.length
      inFlight = send(nats, messages[end]!, commit, expected).then(() => acked(follows + messages.length))
      // It is awaited by the next call; until then nobody listens.
      inFlight.catch(() => {})
    },
    settle: () => inFlight,
  }
}

const send = async (nats: Nats, message: Publishable, headers: string, expected: number): Promise<void> => {
  let answer: Answer
  let stopListening = (): void => {}
  // The client would wait out the timeout for an answer that a lost connection can no longer bring.
  const lost = new Promise<never>((_, reject) => {
    stopListening = nats.onStatus((connected) => {
      if (!connected) reject(new Error("the connection was lost with a batch under way"))
    })
  })
  try {
    const reply = nats.connection.request(message.subject, message.body, { headers: lines(headers), timeout: PUBLISH_TIMEOUT_MS })
    answer = (await Promise.race([reply, lost])).json()
  } catch (cause) {
    // A timeout, a lost connection, nobody there: it may be in the stream or not.
    throw natsStopped(cause)
  } finally {
    stopListening()
  }
  const { error, seq } = answer
  if (error?.err_code === WRONG_LAST_SEQUENCE || error?.err_code === WRONG_LAST_SEQUENCE_UNKNOWN)
    throw new RelayStopped({ reason: "fenced", message: `the stream has moved on: ${error.description}`, hint: "another relay is active, or somebody published by hand" })
  if (error !== undefined)
    throw new RelayStopped({ reason: "refused", message: `the stream refused a batch: ${error.description}`, hint: "see the stream's limits and the server's log; trying again" })
  if (seq !== expected)
    throw new RelayStopped({ reason: "stream", message: `a batch ended at ${seq ?? "no sequence"} where ${expected} was due`, hint: "reading the stream's end again" })
}

interface Answer {
  readonly seq?: number
  readonly error?: { readonly err_code: number; readonly description: string }
}

const WRONG_LAST_SEQUENCE = 10071
const WRONG_LAST_SEQUENCE_UNKNOWN = 10164

/** The client asks headers for their bytes and nothing else; building its own header object would cost more than all the rest. */
const lines = (text: string): MsgHdrs => ({ encode: () => Buffer.from(`NATS/1.0\r\n${text}\r\n`) }) as unknown as MsgHdrs
