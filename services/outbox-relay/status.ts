/** What the relay says about itself: to /readyz now, to the log whenever it changes. */
import { Effect } from "effect"
import type { RelayStopped } from "./errors.ts"

export interface Status {
  /** Why nothing is published now; empty where something is, or would be, by this relay or by the one that has the lease. */
  readonly reasons: () => ReadonlyArray<string>
  /** `loud`: an operator should see it. */
  readonly working: (what: string, loud?: boolean) => Promise<void>
  /** Worth a line, and nothing that stops publishing. */
  readonly note: (what: string) => Promise<void>
  readonly stopped: (why: RelayStopped) => Promise<void>
  readonly waiting: (what: string, hint: string) => Effect.Effect<void>
  readonly standingBy: Effect.Effect<void>
  /** Something to look at that keeps nobody from publishing: the same again is not logged again. */
  readonly warn: (what: string, hint: string) => void
}

/** Logs with the context of whoever makes it. The same reason again is not logged again. */
export const makeStatus: Effect.Effect<Status> = Effect.gen(function* () {
  const context = yield* Effect.context<never>()
  let reasons: ReadonlyArray<string> = ["starting"]
  const warned = new Set<string>()
  const become = (now: ReadonlyArray<string>, log: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const same = now.length === reasons.length && now.every((reason, i) => reason === reasons[i])
      reasons = now
      return same && now.length > 0 ? Effect.void : log
    })
  const waiting = (what: string, hint: string): Effect.Effect<void> =>
    become([what], Effect.logWarning(what).pipe(Effect.annotateLogs({ hint })))
  const run = Effect.runPromiseWith(context)
  return {
    reasons: () => reasons,
    working: (what, loud = false) => run(become([], (loud ? Effect.logWarning : Effect.log)(`publishing, ${what}`))),
    note: (what) => run(Effect.logWarning(what)),
    stopped: (why) => run(waiting(why.message, why.hint)),
    waiting,
    warn: (what, hint) => {
      if (warned.has(what)) return
      if (warned.size >= WARNINGS_KEPT) warned.clear()
      warned.add(what)
      void run(Effect.logWarning(what).pipe(Effect.annotateLogs({ hint })))
    },
    standingBy: become([], Effect.log("another relay has the lease: standing by")),
  }
})

/** Different warnings remembered: after so many they may be said once more. */
const WARNINGS_KEPT = 100
