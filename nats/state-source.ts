/**
 * What a replay draws from: messages in sequence order up to a bound, either held already (direct gets) or read by a consumer as they
 * are taken. A consumer that is lost in the middle is replaced by another from where it ended.
 */
import { READER_HEARTBEAT_MS, REPLAY_AHEAD, REPLAY_AHEAD_BYTES } from "#protocol/limits.ts"
import type { Nats } from "./connection.ts"
import { decodeMessage, millisOf } from "./decode.ts"
import type { LogMessage } from "./log.ts"
import { LogError } from "./log.ts"
import { asLogError } from "./log-error.ts"
import type { Reader } from "./reader.ts"
import { openReader } from "./reader.ts"

export interface Source {
  /** How many there are, as far as one knows beforehand. */
  readonly count: number
  /** The next message; null where there is none any more; undefined where one must wait for it. */
  readonly peek: () => LogMessage | null | undefined
  readonly take: () => void
  /** Resolves when `peek` has an answer. Rejects with a `LogError`. */
  readonly ready: () => Promise<void>
  readonly close: () => void
}

export const heldSource = (messages: ReadonlyArray<LogMessage>): Source => {
  let next = 0
  return {
    count: messages.length,
    peek: () => messages[next] ?? null,
    take: () => {
      next++
    },
    ready: () => Promise.resolve(),
    close: () => {},
  }
}

/** Tries to replace a lost consumer without a message in between. */
const REPLACEMENTS = 3

/** What the filters match after `after`, up to `upTo`; of that only what is wanted by its subject: the rest is not even decoded. */
export const consumerSource = async (
  nats: Nats, stream: string, filters: ReadonlyArray<string>, after: number, upTo: number, wanted: (subject: string) => boolean = () => true,
): Promise<Source> => {
  let buffer: Array<LogMessage> = []
  let next = 0
  let position = after
  let done = false
  let closed = false
  let reader: Reader | null = null
  let failure: LogError | null = null
  let replacements = 0
  let wake: () => void = () => {}

  const fail = (error: LogError): void => {
    failure = error
    wake()
  }
  const finish = (): void => {
    done = true
    reader?.close()
    wake()
  }
  const open = (): Promise<Reader> =>
    openReader(nats, {
      stream,
      filters,
      from: position + 1,
      ahead: REPLAY_AHEAD,
      aheadBytes: REPLAY_AHEAD_BYTES,
      message: (delivery, message) => {
        if (done || closed) return
        position = delivery.seq
        replacements = 0
        // What is beyond the bound changed after it was asked: it comes by the live way.
        if (delivery.seq > upTo) return finish()
        const { subject } = message
        const decoded = wanted(subject) ? decodeMessage(delivery.seq, subject, millisOf(delivery.time), message.headers, message.data) : ""
        if (typeof decoded !== "string") buffer.push(decoded)
        if (delivery.pending === 0 || delivery.seq === upTo) return finish()
        if (buffer.length - next >= REPLAY_AHEAD) reader?.pause()
        wake()
      },
      // Nothing comes although not all that was counted came: it may have been removed meanwhile.
      idle: () => void check(),
      broken: (why) => {
        if (done || closed) return
        reader = null
        if (++replacements > REPLACEMENTS || !nats.connected()) fail(new LogError({ reason: "unavailable", message: why, hint: "go on from the last page" }))
        else replace()
      },
    })
  const replace = (): void => {
    open().then(
      (opened) => {
        if (done || closed) opened.close()
        else reader = opened
        if (opened.pending === 0) finish()
      },
      (error: unknown) => fail(asLogError(error)),
    )
  }
  const check = async (): Promise<void> => {
    const asked = reader
    if (asked === null || done || closed) return
    try {
      const info = await nats.jetstream.consumers.info(stream, asked.name)
      if (asked === reader && info.num_pending === 0 && info.delivered.consumer_seq === asked.given()) finish()
    } catch {
      // The reader notices by itself when its consumer is gone.
    }
  }
  const stopListening = nats.onStatus((connected) => {
    if (!connected && !done) fail(new LogError({ reason: "unavailable", message: "the connection to NATS was lost", hint: "go on from the last page" }))
  })
  // A consumer whose server forgot it says nothing at all.
  let seen = -1
  const watch = setInterval(() => {
    if (reader === null || reader.given() !== seen) seen = reader?.given() ?? -1
    else if (buffer.length === next && !done) void check()
  }, 2 * READER_HEARTBEAT_MS)
  watch.unref()

  const close = (): void => {
    closed = true
    stopListening()
    clearInterval(watch)
    reader?.close()
  }
  const first = await open().catch((error: unknown) => {
    close()
    throw error
  })
  reader = first
  if (first.pending === 0) finish()
  return {
    count: first.pending,
    peek: () => buffer[next] ?? (failure === null && done ? null : undefined),
    take: () => {
      next++
      if (next === buffer.length) {
        buffer = []
        next = 0
      }
      if (buffer.length - next < REPLAY_AHEAD / 2) reader?.resume()
    },
    ready: async () => {
      while (buffer.length === next && !done) {
        if (failure !== null) throw failure
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    close,
  }
}
