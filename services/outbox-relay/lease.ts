/**
 * The lease: a session-level advisory lock that elects the relay that works. Its holder shows signs of life; a session without them
 * (the process is stopped, the machine cut off) Postgres ends by itself, and another relay gets the lock. A holder that wakes after that is
 * refused by the stream's fence: a wrong election is harmless.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { behindPooler, shareSessions } from "#db/pooler.ts"
import type { CannotConnect, Sql } from "#db/postgres.ts"
import { answerWithin, connect } from "#db/postgres.ts"
import type { ConfigProblem } from "#observe/config-error.ts"
import { notDirect } from "#observe/config-error.ts"
import { LEASE_SILENCE_MS, LEASE_TOUCH_MS, LEASE_TRY_MS, POSTGRES_ANSWER_MS } from "#protocol/limits.ts"
import type { RelayStopped } from "./errors.ts"
import { postgresStopped } from "./errors.ts"

export interface Lease {
  /** The session of the lease, for short queries. */
  readonly session: Sql
  /** The session has ended, and the lease with it. */
  readonly lost: () => boolean
  /** Calls back when it has. */
  readonly onLost: (listener: () => void) => void
}

/**
 * Waits until this relay has the lease; gives it back with the scope. `waiting` hears that another has it. `url` leads straight to Postgres:
 * behind a pooler in transaction mode the lock would be some other session's, so that is refused.
 */
export const takeLease = (url: string, waiting: Effect.Effect<void>): Effect.Effect<Lease, CannotConnect | RelayStopped | ConfigProblem, Scope.Scope> =>
  Effect.gen(function* () {
    let lost = false
    const listeners = new Set<() => void>()
    const lose = (): void => {
      if (lost) return
      lost = true
      for (const listener of listeners) listener()
      // What still waits for its answer gets none.
      void session.end({ timeout: 0 })
    }
    const session: Sql = yield* connect({ url, name: "tideline relay lease", onClose: lose })
    const run = <A>(query: () => Promise<A>): Effect.Effect<A, RelayStopped> => Effect.tryPromise({ try: () => answerWithin(POSTGRES_ANSWER_MS, query), catch: postgresStopped })
    if (yield* run(() => behindPooler(session))) yield* refuseShared(url, session)
    // The lease ends by silence, and not by what the operator's limits say of sessions that work.
    yield* run(() => session`
      select set_config('idle_session_timeout', ${`${LEASE_SILENCE_MS}ms`}, false), set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)`)
    // A session that was lost while it waited is another one now: what it gets it must not keep, or nobody would work.
    const tryLock = run(async () => {
      const [row] = await session<Array<{ got: boolean }>>`select pg_try_advisory_lock(tide.lease_key()) as got`
      if (lost) throw new Error("the session that waits for the lease has ended")
      return row!.got
    })
    if (!(yield* tryLock)) {
      yield* waiting
      while (!(yield* tryLock)) yield* Effect.sleep(LEASE_TRY_MS)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        let answered = performance.now()
        return setInterval(() => {
          // Postgres has ended the session by now, and may have been unable to say so.
          if (performance.now() - answered > LEASE_SILENCE_MS) lose()
          else session`select 1`.then(() => (answered = performance.now()), lose)
        }, LEASE_TOUCH_MS)
      }),
      (timer) => Effect.sync(() => clearInterval(timer)),
    )
    return { session, lost: () => lost, onLost: (listener) => listeners.add(listener) }
  })

const refuseShared = (url: string, session: Sql): Effect.Effect<void, CannotConnect | RelayStopped | ConfigProblem> =>
  Effect.gen(function* () {
    const other = yield* connect({ url, name: "tideline relay lease" })
    const shared = yield* Effect.tryPromise({ try: () => shareSessions(session, other), catch: postgresStopped })
    if (shared) yield* notDirect
  }).pipe(Effect.scoped)
