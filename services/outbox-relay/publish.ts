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
import { isIncompleteBatch, natsStopped, refusal, RelayStopped } from "./errors.ts"

/** The server's headers of a message in a batch; it stores them with it. */
export const BATCH_ID = "Nats-Batch-Id"
export const BATCH_SEQUENCE = "Nats-Batch-Sequence"

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
  /** Nothing more will be handed over. */
  readonly close: () => void
}

/** A publisher whose first batch must follow the sequence `last`. */
export const publisher = (nats: Nats, last: number): Publisher => {
  const complaints = listen(nats)
  let expected = last
  let inFlight: Promise<void> = Promise.resolve()

  return {
    put: async (messages, cursor, acked) => {
      const batch = messages.length > 1 ? nuid.next() : null
      const end = messages.length - 1
      const follows = expected
      const header = (i: number): string =>
        messages[i]!.headers +
        (batch === null ? "" : `${BATCH_ID}: ${batch}\r\n${BATCH_SEQUENCE}: ${i + 1}\r\n`) +
        (i === 0 ? `Nats-Expected-Last-Sequence: ${follows}\r\n${batch === null ? "" : `${HEADER.window}: ${cursor.window ?? cursor.last}\r\n`}` : "")
      try {
        for (let i = 0; i < end; i++) {
          const { subject, body } = messages[i]!
          // The server answers each of them that has a reply: the first speaks for all, but for a limit reached in the middle.
          nats.connection.publish(subject, body, { headers: lines(header(i)), ...(i === 0 ? { reply: complaints.subject } : {}) })
        }
      } catch (cause) {
        // The client does not hand over what is larger than the server takes, nor anything once it is closed.
        throw natsStopped(cause)
      }
      await inFlight
      const commit = `${header(end)}${batch === null ? "" : "Nats-Batch-Commit: 1\r\n"}${HEADER.cursor}: ${formatCursor(cursor)}\r\n`
      expected = follows + messages.length
      inFlight = send(nats, messages[end]!, commit, expected, complaints).then(() => acked(follows + messages.length))
      // It is awaited by the next call; until then nobody listens.
      inFlight.catch(() => {})
    },
    settle: () => inFlight,
    close: complaints.close,
  }
}

/** What the server says of the first message of a batch: nothing where it took it. */
interface Complaints {
  readonly subject: string
  /** The last refusal, once. */
  readonly take: () => Answer["error"] | null
  readonly close: () => void
}

const listen = (nats: Nats): Complaints => {
  let last: Answer["error"] | null = null
  const subject = nats.inbox()
  const subscription = nats.connection.subscribe(subject, {
    callback: (_, message) => {
      if (message.data.length > 0) last = message.json<Answer>().error ?? null
    },
  })
  return {
    subject,
    take: () => {
      const taken = last
      last = null
      return taken
    },
    close: () => subscription.unsubscribe(),
  }
}

const send = async (nats: Nats, message: Publishable, headers: string, expected: number, complaints: Complaints): Promise<void> => {
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
  if (error !== undefined) {
    const why = (isIncompleteBatch(error.err_code) ? complaints.take() : null) ?? error
    throw refusal(why.err_code, why.description)
  }
  if (seq !== expected)
    throw new RelayStopped({ reason: "stream", message: `a batch ended at ${seq ?? "no sequence"} where ${expected} was due`, hint: "reading the stream's end again" })
}

interface Answer {
  readonly seq?: number
  readonly error?: { readonly err_code: number; readonly description: string }
}

/** The client asks headers for their bytes and nothing else; building its own header object would cost more than all the rest. */
const lines = (text: string): MsgHdrs => ({ encode: () => Buffer.from(`NATS/1.0\r\n${text}\r\n`) }) as unknown as MsgHdrs
