/**
 * The one way to connect to NATS. A connection outlives the server: it reconnects for ever and says when it is away. What is
 * published while it is away is dropped by the client without a word, so whoever publishes must wait for an answer.
 */
import { jetstreamManager } from "@nats-io/jetstream"
import type { JetStreamManager } from "@nats-io/jetstream"
import type { ConnectionOptions, NatsConnection } from "@nats-io/nats-core"
import { createInbox, errors } from "@nats-io/nats-core"
import { connect } from "@nats-io/transport-node"
import { Effect, Schedule, Schema } from "effect"
import type { Scope } from "effect"
import { NATS_PING_MS, NATS_RECONNECT_MS, REQUEST_TIMEOUT_MS } from "#protocol/limits.ts"

export class NatsError extends Schema.TaggedError<NatsError>()("NatsError", {
  /** url: not an address. away: no server answered. refused: the server does not take these credentials. lost: the connection was closed for good. */
  reason: Schema.Literals(["url", "away", "refused", "lost"]),
  message: Schema.String,
  hint: Schema.String,
}) {}

export interface Nats {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamManager
  /** A new subject under which replies may come to this user. */
  readonly inbox: () => string
  /** False while no server can be reached. */
  readonly connected: () => boolean
  /** Calls back at each loss (false) and at each return (true). Answers how to stop that. */
  readonly onStatus: (listener: (connected: boolean) => void) => () => void
}

/** The options for `url`: one or several `nats://user:password@host:port` with commas (`tls://` for TLS). Throws a `NatsError`. */
export const connectionOptions = (url: string, name: string): ConnectionOptions => {
  const addresses = url.split(",").map((text) => parseAddress(text.trim()))
  const { username, password, protocol } = addresses[0]!
  const user = decodeURIComponent(username)
  return {
    name,
    servers: addresses.map((a) => a.host),
    ...(user === "" ? {} : { user, pass: decodeURIComponent(password), inboxPrefix: inboxPrefix(user) }),
    ...(protocol === "tls:" ? { tls: {} } : {}),
    maxReconnectAttempts: -1,
    reconnectTimeWait: NATS_RECONNECT_MS,
    reconnectJitter: NATS_RECONNECT_MS,
    pingInterval: NATS_PING_MS,
    maxPingOut: 2,
    timeout: REQUEST_TIMEOUT_MS,
    // A password that is changed on the server first must not end a service that runs.
    ignoreAuthErrorAbort: true,
    // Stack traces for requests cost more than the requests.
    noAsyncTraces: true,
  }
}

/** Replies to `user` come under this; nats.conf lets nobody else subscribe there. */
export const inboxPrefix = (user: string): string => `_INBOX_${user.replace(/[^A-Za-z0-9_-]/g, "_")}`

const parseAddress = (text: string): URL => {
  try {
    const address = new URL(text)
    if ((address.protocol === "nats:" || address.protocol === "tls:") && address.hostname !== "") return address
  } catch {
    // Said below, without the text: it may hold a password.
  }
  throw new NatsError({ reason: "url", message: "not a NATS address", hint: "nats://user:password@host:4222, several with commas" })
}

/** Tries once. Fails where no server answers or the credentials are not taken. */
export const connectOnce = (url: string, name: string): Effect.Effect<Nats, NatsError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({ try: () => open(url, name), catch: asNatsError }),
    (nats) => Effect.promise(() => nats.connection.close().catch(() => {})),
  )

/** Tries until a server answers; `waiting` hears of every try that failed. Fails only where trying again cannot help. */
export const connectNats = (
  url: string,
  name: string,
  waiting: (error: NatsError) => Effect.Effect<void> = () => Effect.void,
): Effect.Effect<Nats, NatsError, Scope.Scope> =>
  connectOnce(url, name).pipe(
    Effect.tapError((error) => (error.reason === "away" ? waiting(error) : Effect.void)),
    Effect.retry({
      while: (error) => error.reason === "away",
      schedule: Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")]),
    }),
  )

const open = async (url: string, name: string): Promise<Nats> => {
  const options = connectionOptions(url, name)
  const connection = await connect(options)
  const jetstream = await jetstreamManager(connection, { checkAPI: false, timeout: REQUEST_TIMEOUT_MS })
  const listeners = new Set<(connected: boolean) => void>()
  let connected = true
  const become = (now: boolean) => {
    if (connected === now) return
    connected = now
    for (const listener of listeners) listener(now)
  }
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === "disconnect" || status.type === "close") become(false)
      else if (status.type === "reconnect") become(true)
    }
    become(false)
  })()
  return {
    connection,
    jetstream,
    inbox: () => createInbox(options.inboxPrefix),
    connected: () => connected,
    onStatus: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

const asNatsError = (cause: unknown): NatsError => {
  if (cause instanceof NatsError) return cause
  const message = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError)
    return new NatsError({ reason: "refused", message, hint: "user and password in NATS_URL must be those of the server's configuration" })
  return new NatsError({ reason: "away", message, hint: "is nats-server running at the address in NATS_URL?" })
}
