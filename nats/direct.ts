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
  let more: { seq?: number; up_to_seq?: number } = {}
  while (true) {
    const part = await batch(nats, stream, { multi_last: filters, batch: DIRECT_SUBJECTS, ...more }, messages)
    if (part.status === 413) return TOO_MANY
    if (part.pending === 0) break
    more = { seq: part.last + 1, up_to_seq: part.upTo }
  }
  return messages.sort((a, b) => a.seq - b.seq)
}

interface BatchEnd {
  readonly status: number
  readonly last: number
  readonly pending: number
  readonly upTo: number
}

const batch = (nats: Nats, stream: string, request: object, into: Array<LogMessage>): Promise<BatchEnd> =>
  new Promise((resolve, reject) => {
    const inbox = nats.inbox()
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
          return finish(() => resolve({ status: code, last: number("Nats-Last-Sequence"), pending: number("Nats-Num-Pending"), upTo: number("Nats-UpTo-Sequence") }))
        if (code !== 0) return fail(`${stream} answered ${headers!.status}`)
        timer.refresh()
        const decoded = fromDirect(message)
        if (decoded !== null) into.push(decoded)
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
