/**
 * Keeps one process running until its scope closes: started again after every end, with a delay that grows while it does not stay up.
 *
 *     waiting ──start──► starting ──/readyz──► ready ──end──► waiting (0.2 s, doubled to 10 s; 0.2 s again after a minute of health)
 *        ▲                  │ end                                │
 *        └──────────────────┴──────────◄─────────────────────────┘     held: nothing is started until `release`
 *
 * Nothing here knows what the process is: `start` gives a running child, `ready` succeeds when it serves.
 */
import { Clock, Deferred, Effect, Latch } from "effect"
import type { Scope } from "effect"
import type { Child } from "./child.ts"
import { describeEnd } from "./child.ts"
import { DevError } from "./errors.ts"
import { lastWords } from "./last-words.ts"

export interface Supervision {
  readonly name: string
  readonly start: Effect.Effect<Child, DevError, Scope.Scope>
  /** Succeeds when the process serves. */
  readonly ready: Effect.Effect<void>
  /** Hears of every change of `pid` and `isReady`. */
  readonly changed: () => void
  /** Hears of an end that nobody asked for: how, and milliseconds until the next start. */
  readonly ended: (how: string, delayMs: number) => void
}

export interface Supervised {
  readonly name: string
  /** Of the process that runs now; null between two. */
  readonly pid: () => number | null
  /** Whether the process that runs now has become ready. */
  readonly isReady: () => boolean
  /** Succeeds when it serves, whichever run that is. Before the first time it fails after MOST_EARLY_ENDS ends. */
  readonly whenReady: Effect.Effect<void, DevError>
  /** Sends a signal to the process that runs now. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** Ends it with the signal and keeps it down. */
  readonly hold: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Lets a held one start again. */
  readonly release: Effect.Effect<void>
}

const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 10_000
/** Milliseconds of health after which the next delay is the first again. */
const HEALTHY_MS = 60_000
/** A process that ends so often before it was ready once has a reason that waiting does not cure. */
const MOST_EARLY_ENDS = 3

/** Milliseconds until the next start, after `ends` ends in a row of which none stayed up for HEALTHY_MS. */
export const delayAfter = (ends: number): number => Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, ends - 1))

export const supervise = (what: Supervision): Effect.Effect<Supervised, never, Scope.Scope> =>
  Effect.gen(function* () {
    const wanted = yield* Latch.make(true)
    const serves = yield* Latch.make(false)
    const first = yield* Deferred.make<void, DevError>()
    let child: Child | null = null
    let isReady = false
    let everReady = false

    const setChild = (now: Child | null): Effect.Effect<void> =>
      Effect.gen(function* () {
        child = now
        isReady = false
        if (now === null) yield* serves.close
        what.changed()
      })

    const becomeReady = Effect.gen(function* () {
      yield* what.ready
      isReady = true
      everReady = true
      yield* serves.open
      yield* Deferred.succeed(first, undefined)
      what.changed()
      return yield* Effect.never
    })

    /** One life of the process, from its start to its end: how it ended, or why it could not begin. */
    const life: Effect.Effect<string> = Effect.scoped(
      Effect.gen(function* () {
        const now = yield* what.start
        yield* setChild(now)
        const ended = yield* Effect.raceFirst(now.ended, becomeReady)
        const words = lastWords(now.lastLines(), ended.signal !== null)
        return words === null ? describeEnd(ended) : `${describeEnd(ended)}: ${words}`
      }),
    ).pipe(
      Effect.catch((error) => Effect.succeed([error.message, error.hint].filter(Boolean).join(" "))),
      Effect.ensuring(setChild(null)),
    )

    const lives = Effect.gen(function* () {
      for (let row = 0; ; ) {
        yield* wanted.await
        const began = yield* Clock.currentTimeMillis
        const how = yield* life
        if (!wanted.isOpen()) {
          row = 0
          continue
        }
        row = (yield* Clock.currentTimeMillis) - began >= HEALTHY_MS ? 1 : row + 1
        if (!everReady && row >= MOST_EARLY_ENDS) {
          yield* Deferred.fail(first, new DevError({ message: `${what.name} ${how}`, hint: `It ended ${row} times before it was ready.` }))
        }
        what.ended(how, delayAfter(row))
        yield* Effect.sleep(delayAfter(row))
      }
    })
    yield* Effect.forkScoped(lives)

    return {
      name: what.name,
      pid: () => child?.pid ?? null,
      isReady: () => isReady,
      whenReady: Effect.suspend(() => (everReady ? serves.await : Deferred.await(first))),
      signal: (signal) => void child?.signal(signal),
      hold: (signal) =>
        Effect.gen(function* () {
          yield* wanted.close
          const now = child
          if (now === null) return
          now.signal(signal)
          yield* now.ended
        }),
      release: Effect.asVoid(wanted.open),
    }
  })
