/**
 * The one way to open Postgres: who connects shows in pg_stat_activity, notices stay silent, and "cannot connect" is a
 * value that says what to do. bigint, xid8 and pg_snapshot columns come as text: they do not fit a number. Behind a pooler
 * statements are not prepared: the next one may be served by another session.
 */
import { Effect, Schema } from "effect"
import type { Scope } from "effect"
import postgres from "postgres"
import { behindPooler } from "./pooler.ts"
import { POSTGRES_ANSWER_MS, POSTGRES_CLOSE_S, POSTGRES_CONNECT_S, POSTGRES_RECONNECT_S } from "#protocol/limits.ts"

export type Sql = postgres.Sql

/** Postgres did not answer, or refused who asked. The message names host and database, never a password. */
export class CannotConnect extends Schema.TaggedError<CannotConnect>()("CannotConnect", {
  message: Schema.String,
  hint: Schema.String,
}) {}

export interface ConnectOptions {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string
  /** Who connects: the application_name. */
  readonly name: string
  /** Connections at most; 1 by default. */
  readonly max?: number
  /** Seconds after which an idle connection is closed; never by default. */
  readonly idleTimeout?: number
  /** Told whenever a connection is lost, whatever the reason. */
  readonly onClose?: () => void
}

/** A connection pool to a Postgres that answers; closed with its scope. */
export const connect = (options: ConnectOptions): Effect.Effect<Sql, CannotConnect, Scope.Scope> =>
  Effect.gen(function* () {
    const target = yield* describe(options.url)
    const { onClose: _, ...trying } = options
    const pooled = yield* open({ ...trying, max: 1 }, { prepare: false, fetch_types: false }).pipe(
      Effect.flatMap((sql) => Effect.tryPromise({ try: () => answerWithin(POSTGRES_ANSWER_MS, () => behindPooler(sql)), catch: (cause) => explain(target, cause) })),
      Effect.scoped,
    )
    return yield* open(options, { prepare: !pooled })
  })

const open = (options: ConnectOptions, how: { readonly prepare: boolean; readonly fetch_types?: boolean }): Effect.Effect<Sql, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      postgres(options.url, {
        ...how,
        max: options.max ?? 1,
        idle_timeout: options.idleTimeout ?? 0,
        max_lifetime: null,
        connect_timeout: POSTGRES_CONNECT_S,
        backoff: (tries) => Math.min(0.05 * 2 ** tries, POSTGRES_RECONNECT_S),
        connection: { application_name: options.name },
        onnotice: () => {},
        ...(options.onClose === undefined ? {} : { onclose: options.onClose }),
      }),
    ),
    close,
  )

const close = (sql: Sql): Effect.Effect<void> => Effect.promise(() => sql.end({ timeout: POSTGRES_CLOSE_S }))

/**
 * The answer, or an error after so many milliseconds. A connection whose other end has gone without a word (a cable, a firewall that forgot
 * it) brings neither answer nor end for a quarter of an hour; whoever waits must know how long an answer may take.
 */
export const answerWithin = <A>(ms: number, ask: () => PromiseLike<A>): Promise<A> => {
  let timer: NodeJS.Timeout | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Postgres has not answered for ${Math.round(ms / 1_000)} s`)), ms)
  })
  return Promise.race([ask(), silence]).finally(() => clearTimeout(timer))
}

const describe = (url: string): Effect.Effect<string, CannotConnect> =>
  Effect.try({
    try: () => {
      const { protocol, hostname, port, pathname, username } = new URL(url)
      if (protocol !== "postgres:" && protocol !== "postgresql:") throw new Error("not a Postgres address")
      return `Postgres at ${hostname || "localhost"}:${port || "5432"}${pathname} as ${decodeURIComponent(username) || "the default user"}`
    },
    catch: () =>
      new CannotConnect({ message: "the Postgres address is not a URL", hint: "Write postgres://user:password@host:5432/database." }),
  })

/** By error code: Node's for the network, SQLSTATE for the server's refusals. */
const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Nothing listens there: is Postgres running, is the port right?",
  ENOTFOUND: "The host name is unknown.",
  CONNECT_TIMEOUT: "No answer: is the host right, does a firewall stand between?",
  "28P01": "The password is wrong.",
  "28000": "The server does not let this user in: see pg_hba.conf, and whether the role may log in.",
  "3D000": "The database does not exist.",
  "53300": "The server has no connection left: raise max_connections or close some.",
  "57P03": "The server is starting up or shutting down: try again.",
}

const explain = (target: string, cause: unknown): CannotConnect => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  const reason = cause instanceof Error && cause.message !== "" ? cause.message : code
  return new CannotConnect({ message: `cannot connect to ${target}: ${reason}`, hint: HINTS[code] ?? "Check DATABASE_URL and the server's log." })
}
