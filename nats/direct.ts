/** Direct gets: the newest messages of subjects, in batches and without a consumer. */
import type { Msg } from "@nats-io/nats-core"
import { DIRECT_SUBJECTS, REQUEST_TIMEOUT_MS } from "#protocol/limits.ts"
import type { Nats } from "./connection.ts"
import { decodeMessage } from "./decode.ts"
import type { LogMessage } from "./log.ts"
import { LogError } from "./log.ts"

/** What the filters match is more than the server answers in one request. */
export const TOO_MANY = "too many"

/**
 * The newest message of every subject that the filters match, in sequence order, or TOO_MANY where there are more than DIRECT_SUBJECTS.
 * Filters without a concrete scope make the server walk all subjects.
 */
export const newestOf = async (nats: Nats, stream: string, filters: ReadonlyArray<string>): Promise<ReadonlyArray<LogMessage> | typeof TOO_MANY> => {
  const messages: Array<LogMessage> = []
  const end = await newest(nats, stream, filters, {}, (message) => messages.push(message))
  return end === TOO_MANY ? TOO_MANY : messages.sort((a, b) => a.seq - b.seq)
}

/** The newest message of each of these subjects (DIRECT_SUBJECTS at most), in no order; no more than `bytes` of them under way at once. */
export const newestEach = async (nats: Nats, stream: string, subjects: ReadonlyArray<string>, bytes: number, take: (message: LogMessage) => void): Promise<void> => {
  await newest(nats, stream, subjects, { max_bytes: bytes }, take)
}

const newest = async (nats: Nats, stream: string, filters: ReadonlyArray<string>, bounds: object, take: (message: LogMessage) => void): Promise<typeof TOO_MANY | null> => {
  let more: { seq?: number; up_to_seq?: number } = {}
  while (true) {
    const part = await batch(nats, stream, { multi_last: filters, batch: DIRECT_SUBJECTS, ...bounds, ...more }, take)
    if (part.status === 413) return TOO_MANY
    if (part.pending === 0) return null
    more = { seq: part.last + 1, up_to_seq: part.upTo }
  }
}

/** The next messages after a sequence that the filter matches, some of them; answers the last one's sequence, null where there was none. */
export const nextEach = async (
  nats: Nats, stream: string, filter: string, after: number, bounds: { readonly batch: number; readonly max_bytes: number }, take: (message: LogMessage) => void,
): Promise<number | null> => {
  const part = await batch(nats, stream, { seq: after + 1, next_by_subj: filter, ...bounds }, take)
  return part.seen === 0 ? null : part.seen
}

interface BatchEnd {
  readonly status: number
  /** The highest sequence that came, of messages that are no changes too; 0: none. */
  readonly seen: number
  readonly last: number
  readonly pending: number
  readonly upTo: number
}

const batch = (nats: Nats, stream: string, request: object, take: (message: LogMessage) => void): Promise<BatchEnd> =>
  new Promise((resolve, reject) => {
    const inbox = nats.inbox()
    let seen = 0
    const finish = (done: () => void): void => {
      clearTimeout(timer)
      stopListening()
      subscription.unsubscribe()
      done()
    }
    const fail = (message: string): void => finish(() => reject(new LogError({ reason: "unavailable", message, hint: "ask again" })))
    const timer = setTimeout(() => fail(`${stream} did not answer within ${REQUEST_TIMEOUT_MS} ms`), REQUEST_TIMEOUT_MS)
    const stopListening = nats.onStatus((connected) => {
      if (!connected) fail("the connection to NATS was lost")
    })
    const subscription = nats.connection.subscribe(inbox, {
      callback: (error, message) => {
        if (error !== null) return fail(error.message)
        const { headers } = message
        const number = (name: string): number => Number(headers?.get(name) || 0)
        const code = headers?.code ?? 0
        if (code === 503) return fail(`nobody answers for ${stream}`)
        if (code === 204 || code === 404 || code === 413)
          return finish(() => resolve({ status: code, seen, last: number("Nats-Last-Sequence"), pending: number("Nats-Num-Pending"), upTo: number("Nats-UpTo-Sequence") }))
        if (code !== 0) return fail(`${stream} answered ${headers!.status}`)
        timer.refresh()
        const decoded = fromDirect(message)
        seen = Math.max(seen, number("Nats-Sequence"))
        if (decoded !== null) take(decoded)
      },
    })
    nats.connection.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(request), { reply: inbox })
  })

/** A direct get carries the message's place in its headers. What is not a change is left out: a follower says so once. */
const fromDirect = (message: Msg): LogMessage | null => {
  const { headers } = message
  if (headers === undefined) return null
  const storedAt = Date.parse(headers.get("Nats-Time-Stamp"))
  const decoded = decodeMessage(Number(headers.get("Nats-Sequence")), headers.get("Nats-Subject"), storedAt, headers, message.data)
  return typeof decoded === "string" ? null : decoded
}
