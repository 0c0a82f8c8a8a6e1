/**
 * One consumer on one stream: made for this reading, in memory, without acknowledgements, gone when it is closed or its reader is.
 * It asks for messages ahead of need and counts what it gets; a gap or a lost consumer ends it (`broken`), and whoever uses it makes
 * another from the position it has. The client's own ordered consumer is not used: after a server restart it asks the new consumer
 * for what the old one still owed, which may be nothing, and sleeps until heartbeats are missed.
 */
import type { ConsumerConfig } from "@nats-io/jetstream"
import { AckPolicy, DeliverPolicy } from "@nats-io/jetstream"
import type { Msg } from "@nats-io/nats-core"
import { nanos, nuid } from "@nats-io/nats-core"
import { READER_HEARTBEAT_MS } from "#protocol/limits.ts"
import type { Nats } from "./connection.ts"
import type { Delivery } from "./decode.ts"
import { parseDelivery } from "./decode.ts"

export interface ReaderOptions {
  readonly stream: string
  /** Subjects; they may not overlap. */
  readonly filters: ReadonlyArray<string>
  readonly from: number
  /** Messages asked for ahead of need. */
  readonly ahead: number
  /** Bytes of them. Default: no bound but the connection's. */
  readonly aheadBytes?: number
  readonly message: (delivery: Delivery, message: Msg) => void
  /** The server has nothing to give for now. */
  readonly idle: () => void
  readonly broken: (why: string) => void
}

export interface Reader {
  /** Messages that matched when the consumer was made. */
  readonly pending: number
  readonly name: string
  /** Messages it was given so far. */
  readonly given: () => number
  /** Asks for messages again after `pause`. */
  readonly resume: () => void
  /** Lets what was asked for run out. */
  readonly pause: () => void
  readonly close: () => void
}

/** Milliseconds a request for messages may stay open on the server. */
const EXPIRES_MS = 30_000
/** Milliseconds after which the server forgets a consumer whose reader is gone. */
const INACTIVE_MS = 30_000

export const openReader = async (nats: Nats, options: ReaderOptions): Promise<Reader> => {
  const { stream, ahead } = options
  const { connection, jetstream } = nats
  const name = `tide_${nuid.next()}`
  const config: Partial<ConsumerConfig> = {
    name,
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: options.from,
    mem_storage: true,
    num_replicas: 1,
    max_waiting: 8,
    inactive_threshold: nanos(INACTIVE_MS),
    filter_subjects: [...options.filters],
  }
  const info = await jetstream.consumers.add(stream, config)
  const inbox = nats.inbox()
  const request = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`
  let owed = 0
  let expected = 1
  let open = true
  let paused = false

  const ask = (): void => {
    if (!open || paused || owed > ahead / 2) return
    const batch = ahead - owed
    owed = ahead
    connection.publish(
      request,
      JSON.stringify({ batch, max_bytes: options.aheadBytes, expires: nanos(EXPIRES_MS), idle_heartbeat: nanos(READER_HEARTBEAT_MS) }),
      { reply: inbox },
    )
  }
  const close = (): void => {
    if (!open) return
    open = false
    subscription.unsubscribe()
    if (nats.connected()) jetstream.consumers.delete(stream, name).catch(() => {})
  }
  const broken = (why: string): void => {
    if (!open) return
    close()
    options.broken(why)
  }
  const status = (message: Msg): void => {
    const code = message.headers!.code
    if (code === 100) return options.idle()
    // 404, 408: the request ran out; 409: the server ended it, for good where it does not say what is left of it. (Nothing is left of one
    // with a bound of bytes that was met in full.)
    if (code !== 404 && code !== 408 && code !== 409) return broken(`the server answered ${message.headers!.status}`)
    const left = message.headers!.get("Nats-Pending-Messages")
    if (code === 409 && left === "") return broken(`the server ended the reading: ${message.headers!.description}`)
    owed -= left === "" ? owed : Number(left)
    ask()
  }
  const subscription = connection.subscribe(inbox, {
    callback: (error, message) => {
      if (!open) return
      if (error !== null) return broken(error.message)
      if (message.subject === inbox) return message.headers === undefined ? undefined : status(message)
      const delivery = parseDelivery(message.reply!)
      if (delivery.delivered !== expected) return broken(`message ${delivery.delivered} of the reading came where ${expected} was due`)
      expected++
      owed--
      options.message(delivery, message)
      ask()
    },
  })
  ask()
  return {
    pending: info.num_pending,
    name,
    given: () => expected - 1,
    resume: () => {
      paused = false
      ask()
    },
    pause: () => {
      paused = true
    },
    close,
  }
}
