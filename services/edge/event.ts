/**
 * A change as clients are told it: one piece of JSON, made once and only if somebody sees it, with the row's own text spliced in
 * unread. From tail.ts or replay.ts to send.ts.
 */
import type { Mode } from "#protocol/up.ts"
import { toClientOperation } from "#protocol/event.ts"
import type { LogMessage } from "#nats/log.ts"

const ACTIONS = { INSERT: "CREATE", UPDATE: "UPDATE", DELETE: "DELETE" } as const

/** What an event weighs in memory beside its row: strings, addresses, the object. For the ring's bound. */
const OVERHEAD_BYTES = 400

export class Event {
  readonly message: LogMessage
  readonly seq: number
  /** The position at which its transaction, or the piece of a large one it stands in, has been told. */
  readonly end: number
  /** A newer change of the same entity is in the ring: a catch-up leaves this one out. */
  superseded = false
  #change: string | null = null
  #invalidation: string | null = null

  constructor(message: LogMessage, end: number) {
    this.message = message
    this.seq = message.seq
    this.end = end
  }

  get bytes(): number {
    return this.message.body.length + OVERHEAD_BYTES
  }

  json(mode: Mode): string {
    return mode === "data" ? (this.#change ??= changeJson(this.message)) : (this.#invalidation ??= invalidationJson(this.message))
  }
}

/** The JSON of a `Change` of protocol/down.ts. */
export const changeJson = (m: LogMessage): string => {
  const { scope, entity, id } = m.address
  const operation = toClientOperation(m.operation)
  return (
    `{"entityCode":"${entity}","entityId":${JSON.stringify(id)},"scope":${scope === null ? "null" : JSON.stringify(scope)}` +
    `,"operation":"${operation}","version":${m.seq},"data":${operation === "DELETE" || m.body === "" ? "null" : m.body}` +
    `,"timestamp":${JSON.stringify(m.at)},"by":${m.user === null ? "null" : JSON.stringify(m.user)}` +
    (m.mutation === null ? "}" : `,"mutationId":${JSON.stringify(m.mutation)}}`)
  )
}

/** The JSON of an `Invalidation` of protocol/down.ts. */
export const invalidationJson = (m: LogMessage): string =>
  `{"entityCode":"${m.address.entity}","entityId":${JSON.stringify(m.address.id)},"action":"${ACTIONS[toClientOperation(m.operation)]}","version":${m.seq}}`
