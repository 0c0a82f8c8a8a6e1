/** The relay's life: connections, the lease, then work; whatever is lost is got again, for ever. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { answerWithin, connect } from "#db/postgres.ts"
import type { ConfigProblem } from "#observe/config-error.ts"
import { connectNats } from "#nats/connection.ts"
import type { Nats, NatsError } from "#nats/connection.ts"
import { POSTGRES_ANSWER_MS, POSTGRES_CLOSE_S, REBUILD_IDLE_S, RELAY_RETRY_MS } from "#protocol/limits.ts"
import { makeBell } from "./bell.ts"
import type { RelayConfig } from "./config.ts"
import { postgresStopped, RelayStopped } from "./errors.ts"
import { takeLease } from "./lease.ts"
import { makeProgress } from "./progress.ts"
import { rebuild } from "./rebuild.ts"
import type { Status } from "./status.ts"
import { work } from "./work.ts"

export interface Settings extends Omit<RelayConfig, "databaseUrl" | "directUrl" | "natsUrl"> {
  /** For reading the outbox; may be a pooler's. */
  readonly databaseUrl: string
  /** For the lease, the wake lock and notifications: straight to Postgres. */
  readonly directUrl: string
  readonly natsUrl: string
}

/** Runs until it is interrupted; then what was handed over is settled first. Fails where it was told wrong: NATS does not take the credentials, a pooler has the lease's address. */
export const relay = (settings: Settings, status: Status): Effect.Effect<never, NatsError | ConfigProblem, Scope.Scope> =>
  Effect.gen(function* () {
    const nats = yield* connectNats(settings.natsUrl, "relay", (error) => status.waiting(`waiting for NATS: ${error.message}`, error.hint))
    return yield* turn(settings, nats, status).pipe(
      Effect.scoped,
      Effect.catchIf((why) => why._tag !== "ConfigProblem", (why) => status.waiting(why.message, why.hint)),
      Effect.andThen(Effect.sleep(RELAY_RETRY_MS / 4)),
      Effect.forever,
    )
  })

/** Takes the lease and works, once. */
const turn = ({ databaseUrl, directUrl, outboxDays, outboxWarnBytes, birth }: Settings, nats: Nats, status: Status) =>
  Effect.gen(function* () {
    const lease = yield* takeLease(directUrl, status.standingBy)
    const bell = makeBell()
    // Should an operator's limit end this session while it is idle, the next look opens another: only a ring, so that the look comes now.
    const sql = yield* connect({ url: databaseUrl, name: "tideline relay", onClose: bell.ring })
    // A pooler may keep a query waiting for a Postgres that is gone.
    lease.onLost(() => void sql.end({ timeout: 0 }))
    yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => answerWithin(POSTGRES_ANSWER_MS, () => lease.session.listen("tide_wake", bell.ring, bell.ring)), catch: postgresStopped }),
      (listening) => Effect.promise(() => (lease.lost() ? Promise.resolve() : inTime(listening.unlisten()))),
    )
    const rebuildBell = makeBell()
    // Most of the time there is nothing to do: then it is not connected.
    const rebuildSql = yield* connect({ url: databaseUrl, name: "tideline relay rebuild", idleTimeout: REBUILD_IDLE_S })
    yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => answerWithin(POSTGRES_ANSWER_MS, () => lease.session.listen("tide_rebuild", rebuildBell.ring, rebuildBell.ring)), catch: postgresStopped }),
      (listening) => Effect.promise(() => (lease.lost() ? Promise.resolve() : inTime(listening.unlisten()))),
    )
    const progress = makeProgress()
    const rebuilding = new AbortController()
    lease.onLost(() => {
      rebuilding.abort()
      void rebuildSql.end({ timeout: 0 })
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => rebuild({ nats, sql: rebuildSql, bell: rebuildBell, progress, status, signal: rebuilding.signal })),
      (ended) =>
        Effect.promise(() => {
          rebuilding.abort()
          return inTime(ended)
        }),
    )
    const state = { stopped: false }
    yield* Effect.acquireUseRelease(
      Effect.sync(() => work({ nats, lease, sql, bell, status, outboxDays, outboxWarnBytes, birth, progress, rebuild: rebuildBell.ring, stopped: () => state.stopped })),
      (working) => Effect.tryPromise({ try: () => working, catch: (cause) => (cause instanceof RelayStopped ? cause : postgresStopped(cause)) }),
      (working) =>
        Effect.promise(() => {
          state.stopped = true
          bell.ring()
          return working.catch(() => {})
        }),
    )
  })

/** A connection that is cut may swallow a farewell. It is not waited for: a relay that waits can take no lease. */
const inTime = (farewell: Promise<unknown>): Promise<unknown> => answerWithin(POSTGRES_CLOSE_S * 1_000, () => farewell).catch(() => {})
