/** The log as JetStream keeps it. */
import { Schema } from "effect"
import { Epoch } from "#protocol/epoch.ts"
import { DIRECT_SUBJECTS } from "#protocol/limits.ts"
import { changeSubject, filterSubject } from "#protocol/subject.ts"
import type { Nats } from "./connection.ts"
import { messagesOf, newestOf, TOO_MANY } from "./direct.ts"
import { followChanges } from "./follow.ts"
import type { Head, History, Log, LogMessage } from "./log.ts"
import { LogError } from "./log.ts"
import { asLogError } from "./log-error.ts"
import { readState } from "./read-state.ts"
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
  epochs: async () => epochsOf(await newest(nats, [filterSubject({ scope: null, entity: "_epoch", id: null })])),
})

const newest = async (nats: Nats, filters: ReadonlyArray<string>): Promise<ReadonlyArray<LogMessage>> => {
  const messages = await newestOf(nats, STATE, filters)
  if (messages !== TOO_MANY) return messages
  throw new LogError({ reason: "unavailable", message: `more than ${DIRECT_SUBJECTS} entities asked for at once`, hint: "ask for fewer at a time" })
}

/** The epochs among messages, oldest first. */
export const epochsOf = (messages: ReadonlyArray<LogMessage>): ReadonlyArray<Epoch> => messages.map((message) => readEpoch(JSON.parse(message.body)))

const readEpoch = Schema.decodeUnknownSync(Epoch)

const HISTORY_LIMIT = 1_000
const HISTORY_PAGE = 1_000

const versions = async (nats: Nats, { entity, id, scope, before = Number.POSITIVE_INFINITY, limit = HISTORY_LIMIT }: History): Promise<ReadonlyArray<LogMessage>> => {
  const subject = scope === null ? filterSubject({ scope, entity, id }) : changeSubject({ scope, entity, id })
  let found: Array<LogMessage> = []
  for (let seq = 1; ; ) {
    const { messages, more } = await messagesOf(nats, CHANGES, subject, seq, HISTORY_PAGE)
    found = [...found, ...messages.filter((message) => message.seq < before)].slice(-limit)
    const last = messages.at(-1)
    if (!more || last === undefined || last.seq >= before) return found
    seq = last.seq + 1
  }
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
