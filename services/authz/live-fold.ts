/**
 * Keeps the fold level with the log. Reads what CHANGES holds of the access tables, adds what only STATE still has (rows whose newest
 * event is older than CHANGES' history), then follows. When the stream is another one (it lost what was read, or a new one was made)
 * the fold is built anew.
 *
 * "As of n" needs proof that no event up to n is missing, though most sequences are no access event. The follower's `reach` has
 * it: it asks the server whether something up to n is still to come. That is asked only when somebody wants to know, once
 * for all who want the same n, so an idle authz costs the stream nothing and a busy one a request or two a round trip.
 */
import { Duration, Effect, Schedule, Schema } from "effect"
import type { Scope } from "effect"
import { setImmediate as turn } from "node:timers/promises"
import { counter, gaugeOf } from "#observe/metrics.ts"
import { FOLD_FORGET_MS, FOLD_WAIT_MS } from "#protocol/limits.ts"
import { RequestError } from "#protocol/request.ts"
import type { Following, Log, LogMessage } from "#nats/log.ts"
import { LogError } from "#nats/log.ts"
import { ACL_PATTERNS, aclEvent, isSignOut, signOutEvent } from "./acl-event.ts"
import { Fold } from "./fold.ts"

export interface LiveFold {
  /** The fold once it holds every event up to `seq`. Rejects with `unavailable` where that takes longer than `waitMs`. */
  readonly reached: (seq: number, waitMs?: number) => Promise<Fold>
  /** Why it cannot answer now; empty where it can. */
  readonly reasons: () => ReadonlyArray<string>
}

interface Built {
  readonly fold: Fold
  readonly following: Following
  /** Resolves when the stream is no longer the one that was read. */
  readonly reset: Promise<string>
}

/** Milliseconds one question to the server may take before those who wait look at their watches. */
const ASK_MS = 250

/** STATE does not yet hold what CHANGES has dropped: the fold would miss grants. */
class StateBehind extends Schema.TaggedError<StateBehind>()("StateBehind", { message: Schema.String, hint: Schema.String }) {}

export const makeLiveFold = (log: Log): Effect.Effect<LiveFold, never, Scope.Scope> =>
  Effect.gen(function* () {
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    let built: Built | null = null
    let silent = false
    let lastProblem = "the log has not been read yet"
    const waiting = new Set<() => void>()
    /** Those who wait until it is known again that the stream is the one that was read. */
    const unattached = new Set<() => void>()
    const rebuilds = counter("tideline_authz_fold_builds_total", "Times the fold was built from the streams")
    gaugeOf("tideline_authz_fold_sequence", "Sequence up to which the fold is known to be complete", () => built?.following.position() ?? 0)
    gaugeOf("tideline_authz_fold_lag_milliseconds", "Milliseconds since the stream was last heard of", () => (built === null ? 0 : Math.max(0, Date.now() - built.following.heardAt())))
    gaugeOf("tideline_authz_fold_waiting", "Questions that wait for the fold to be built or to reach a sequence", () => waiting.size + unattached.size + wanted.size)
    gaugeOf("tideline_authz_fold_rows", "Grants and memberships that hold now", () => built?.fold.size ?? 0)
    gaugeOf("tideline_authz_sign_outs", "Users and sessions that were signed out", () => built?.fold.signOuts.size ?? 0)

    const build = Effect.fnUntraced(function* (): Effect.fn.Return<Built, LogError | StateBehind, Scope.Scope> {
      const began = performance.now()
      const head = yield* asked(() => log.head())
      const first = Math.max(1, head.first)
      if (first > 1 && head.state < first - 1) {
        return yield* new StateBehind({
          message: `STATE stands at ${head.state}, and CHANGES begins at ${first}`,
          hint: "it is a mirror of CHANGES and is catching up; `tideline status` shows its lag",
        })
      }
      const fold = new Fold(first - 1)
      /** Sign-outs of which CHANGES told something: what STATE has of them may be what was before. */
      let told: Set<string> | null = new Set()
      const take = (message: LogMessage, isBase: boolean): void => {
        if (isSignOut(message)) {
          const event = signOutEvent(message)
          if (event.problem !== undefined) runFork(Effect.logError(`a sign-out cannot be read, and what is known of it stays: ${event.problem}`))
          if (isBase && told?.has(event.key) === true) return
          if (!isBase && event.signOut !== undefined) told?.add(event.key)
          return fold.signOuts.apply(event)
        }
        const event = aclEvent(message)
        if (event.problem !== undefined) runFork(Effect.logError(`an access row cannot be read and grants nothing: ${event.problem}`))
        if (isBase) fold.base(event)
        else fold.apply(event)
      }
      const reset = Promise.withResolvers<string>()
      const following = yield* Effect.acquireRelease(
        asked(() =>
          log.follow({
            from: first,
            patterns: ACL_PATTERNS,
            message: (message) => take(message, false),
            event: (event) => {
              silent = event.type === "silent" || (silent && event.type !== "current")
              if (event.type === "current") for (const check of unattached) check()
              if (event.type === "reset") reset.resolve(event.message)
              if (event.type === "unreadable") runFork(Effect.logError(`not an access event at ${event.seq}, ${event.subject}: ${event.reason}`))
            },
          }),
        ),
        (follower) => Effect.promise(() => follower.stop().catch(() => {})),
      )
      yield* asked(() => readUpTo(following, head.last))
      if (first > 1) {
        yield* asked(() =>
          log.readState({
            patterns: ACL_PATTERNS,
            after: 0,
            page: (messages) => {
              for (const message of messages) if (message.seq < first) take(message, true)
            },
          }),
        )
      }
      told = null
      rebuilds.add()
      yield* Effect.log("the fold is built").pipe(
        Effect.annotateLogs({ rows: fold.size, horizon: fold.horizon, position: following.position(), ms: Math.round(performance.now() - began) }),
      )
      return { fold, following, reset: reset.promise }
    })

    const life = Effect.scoped(
      Effect.gen(function* () {
        const now = yield* build()
        silent = false
        built = now
        lastProblem = ""
        for (const wake of waiting) wake()
        const trim = asked(async () => {
          const { first } = await log.head()
          for (const _ of now.fold.forget(Math.max(1, first) - 1)) await turn()
        }).pipe(Effect.ignore, Effect.schedule(Schedule.spaced(Duration.millis(FOLD_FORGET_MS))))
        const why = yield* Effect.raceFirst(Effect.promise(() => now.reset), Effect.andThen(trim, Effect.never))
        built = null
        lastProblem = "the log is being read again"
        yield* Effect.logWarning(`the log is another one, the fold is built anew: ${why}`)
        // A stream that is being put right may say so more than once.
        yield* Effect.sleep("50 millis")
      }),
    ).pipe(Effect.ensuring(Effect.sync(() => (built = null))))

    yield* life.pipe(
      Effect.tapError((error) =>
        Effect.suspend(() => {
          const repeated = lastProblem === error.message
          lastProblem = error.message
          return repeated ? Effect.void : Effect.logWarning(`the fold cannot be built yet: ${error.message}`).pipe(Effect.annotateLogs({ hint: error.hint }))
        }),
      ),
      Effect.retry(Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")])),
      Effect.forever,
      Effect.forkScoped,
    )

    const unavailable = (message: string): RequestError =>
      new RequestError({ code: "unavailable", message, hint: "the log is being read; ask again", retryAfter: 1 })

    /** Waits for a fold to be there. */
    const begun = (waitMs: number): Promise<Built> =>
      new Promise((resolve, reject) => {
        const done = () => {
          clearTimeout(timer)
          waiting.delete(done)
          if (built === null) reject(unavailable(lastProblem))
          else resolve(built)
        }
        const timer = setTimeout(done, waitMs)
        waiting.add(done)
      })

    /** Resolves when the follower knows its stream again, or is no longer asked. */
    const attach = (now: Built, waitMs: number): Promise<void> =>
      new Promise((resolve, reject) => {
        const done = (): void => {
          clearTimeout(timer)
          unattached.delete(done)
          resolve()
        }
        const timer = setTimeout(() => {
          unattached.delete(done)
          reject(unavailable("the link to the stream was lost, and whether it is still the same is not known yet"))
        }, waitMs)
        unattached.add(done)
        void now.reset.then(() => setImmediate(done))
      })

    /** One question to the server at a time, for the nearest sequence that is wanted: its answer most often serves all who wait. */
    const wanted = new Set<{ readonly seq: number }>()
    let asking: Promise<unknown> | null = null
    const reach = async (now: Built, seq: number, deadline: number): Promise<void> => {
      const want = { seq }
      wanted.add(want)
      try {
        while (built === now && now.following.position() < seq) {
          const left = deadline - performance.now()
          if (left <= 0) throw unavailable(`the log is read up to ${now.following.position()}, asked for ${seq}`)
          if (asking === null) {
            let nearest = seq
            for (const other of wanted) nearest = Math.min(nearest, other.seq)
            asking = now.following.reach(nearest, Math.min(left, ASK_MS)).catch(() => {}).finally(() => (asking = null))
          }
          await asking
        }
      } finally {
        wanted.delete(want)
      }
    }

    const reached = async (seq: number, waitMs = FOLD_WAIT_MS): Promise<Fold> => {
      const deadline = performance.now() + waitMs
      for (;;) {
        const now = built ?? (await begun(deadline - performance.now()))
        await reach(now, seq, deadline)
        // Another log may have come while this waited, or may be there now: what the old one said is not what was asked for.
        if (built !== now) continue
        if (now.following.attached()) return now.fold
        await attach(now, deadline - performance.now())
      }
    }

    const reasons = (): ReadonlyArray<string> => {
      if (built === null) return [lastProblem]
      if (!built.following.attached()) return ["the link to the stream was lost, and whether it is still the same is not known yet"]
      return silent ? ["nothing is heard from the stream"] : []
    }

    return {
      reached,
      reasons,
    }
  })

/** As long as it takes where there is very much to read, while it goes on. */
const readUpTo = async (following: Following, seq: number): Promise<void> => {
  for (let before = -1; following.position() < seq; before = following.position()) {
    try {
      await following.reach(seq, FOLD_WAIT_MS)
    } catch (error) {
      if (following.position() === before) throw error
    }
  }
}

const asked = <A>(ask: () => Promise<A>): Effect.Effect<A, LogError> =>
  Effect.tryPromise({
    try: ask,
    catch: (cause) =>
      cause instanceof LogError
        ? cause
        : new LogError({ reason: "unavailable", message: cause instanceof Error ? cause.message : String(cause), hint: "is nats-server running?" }),
  })
