/** The log as JetStream keeps it. */
import { DIRECT_SUBJECTS } from "#protocol/limits.ts"
import { changeSubject, filterSubject } from "#protocol/subject.ts"
import type { Nats } from "./connection.ts"
import { newestOf, TOO_MANY } from "./direct.ts"
import { epochsOf } from "./epochs.ts"
import { followChanges } from "./follow.ts"
import type { Head, History, Log, LogMessage } from "./log.ts"
import { LogError } from "./log.ts"
import { asLogError } from "./log-error.ts"
import { readState } from "./read-state.ts"
import type { Source } from "./state-source.ts"
import { consumerSource } from "./state-source.ts"
import { CHANGES, STATE } from "./streams.ts"

export const jetStreamLog = (nats: Nats): Log => ({
  follow: (follow) => followChanges(nats, follow),
  readState: (read) => readState(nats, read),
  latest: async (addresses) => {
    if (addresses.length === 0) return []
    return newest(nats, addresses.map(changeSubject))
  },
  history: (history) => versions(nats, history),
  head: () => head(nats),
  since: (time) => since(nats, time),
  epochs: async () => epochsOf(await newest(nats, [filterSubject({ scope: null, entity: "_epoch", id: null })])),
})

const newest = async (nats: Nats, filters: ReadonlyArray<string>): Promise<ReadonlyArray<LogMessage>> => {
  const messages = await newestOf(nats, STATE, filters)
  if (messages !== TOO_MANY) return messages
  throw new LogError({ reason: "unavailable", message: `more than ${DIRECT_SUBJECTS} entities asked for at once`, hint: "ask for fewer at a time" })
}

const HISTORY_LIMIT = 1_000

const versions = async (nats: Nats, { entity, id, scope, before = Number.POSITIVE_INFINITY, limit = HISTORY_LIMIT }: History): Promise<ReadonlyArray<LogMessage>> => {
  const filter = scope === null ? filterSubject({ scope, entity, id }) : changeSubject({ scope, entity, id })
  const { last } = await head(nats)
  const upTo = Math.min(last, before - 1)
  if (upTo < 1) return []
  const found: Array<LogMessage> = []
  let source: Source | undefined
  try {
    source = await consumerSource(nats, CHANGES, [filter], 0, upTo)
    // The newest are wanted and the oldest come first: how many to pass over is known beforehand only without `before`.
    for (let message = await next(source); message !== null; message = await next(source)) {
      found.push(message)
      if (found.length >= 2 * limit) found.splice(0, limit)
    }
  } catch (error) {
    throw asLogError(error)
  } finally {
    source?.close()
  }
  return found.slice(-limit)
}

const next = async (source: Source): Promise<LogMessage | null> => {
  if (source.peek() === undefined) await source.ready()
  const message = source.peek() ?? null
  source.take()
  return message
}

const head = async (nats: Nats): Promise<Head> => {
  try {
    const [changes, state] = await Promise.all([nats.jetstream.streams.info(CHANGES), nats.jetstream.streams.info(STATE)])
    const { first_seq, last_seq, last_ts } = changes.state
    const lastAt = last_seq === 0 ? null : Date.parse(last_ts)
    return { first: first_seq, last: last_seq, state: state.state.last_seq, lastAt, created: changes.created }
  } catch (error) {
    throw asLogError(error)
  }
}

/** Halves the stream until one message is left; the server has no better question for a time. */
const since = async (nats: Nats, time: Date): Promise<number> => {
  const { first, last } = await head(nats)
  let from = first
  let to = last + 1
  while (from < to) {
    const middle = Math.floor((from + to) / 2)
    const message = await nats.jetstream.streams.getMessage(CHANGES, { seq: middle }).catch((error: unknown) => {
      throw asLogError(error)
    })
    // A message that is gone was older than any that is left.
    if (message === null || message.time.getTime() < time.getTime()) from = middle + 1
    else to = middle
  }
  return from
}
