/** The relay's life: connections, the lease, then work; whatever is lost is got again, for ever. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { connect } from "#db/postgres.ts"
import { connectNats } from "#nats/connection.ts"
import type { Nats, NatsError } from "#nats/connection.ts"
import { RELAY_RETRY_MS } from "#protocol/limits.ts"
import { makeBell } from "./bell.ts"
import { postgresStopped, RelayStopped } from "./errors.ts"
import { takeLease } from "./lease.ts"
import type { Status } from "./status.ts"
import { work } from "./work.ts"

/** Runs until it is interrupted; then what was handed over is settled first. Fails where NATS does not take the credentials. */
export const relay = (databaseUrl: string, natsUrl: string, status: Status): Effect.Effect<never, NatsError, Scope.Scope> =>
  Effect.gen(function* () {
    const nats = yield* connectNats(natsUrl, "relay", (error) => status.waiting(`waiting for NATS: ${error.message}`, error.hint))
    return yield* turn(databaseUrl, nats, status).pipe(
      Effect.scoped,
      Effect.catch((why) => status.waiting(why.message, why.hint)),
      Effect.andThen(Effect.sleep(RELAY_RETRY_MS / 4)),
      Effect.forever,
    )
  })

/** Takes the lease and works, once. */
const turn = (databaseUrl: string, nats: Nats, status: Status) =>
  Effect.gen(function* () {
    const lease = yield* takeLease(databaseUrl, status.standingBy)
    const bell = makeBell()
    let lost = false
    const lose = (): void => {
      lost = true
      bell.ring()
    }
    const sql = yield* connect({ url: databaseUrl, name: "tideline relay", onClose: lose })
    yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => lease.session.listen("tide_wake", bell.ring, bell.ring), catch: postgresStopped }),
      (listening) => Effect.promise(() => (lost || lease.lost() ? Promise.resolve() : listening.unlisten().catch(() => {}))),
    )
    const state = { stopped: false }
    const ended = { ...lease, lost: () => lost || lease.lost() }
    yield* Effect.acquireUseRelease(
      Effect.sync(() => work({ nats, lease: ended, sql, bell, status, stopped: () => state.stopped })),
      (working) => Effect.tryPromise({ try: () => working, catch: (cause) => (cause instanceof RelayStopped ? cause : postgresStopped(cause)) }),
      (working) =>
        Effect.promise(() => {
          state.stopped = true
          bell.ring()
          return working.catch(() => {})
        }),
    )
  })
