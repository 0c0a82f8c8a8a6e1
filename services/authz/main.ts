/**
 * Who may see what. Reads the grants and memberships that services/outbox-relay wrote into the log, and answers edges over NATS. Holds
 * the token secret; needs no Postgres. Any number of instances share the work, in every region.
 */
import { Effect, Redacted, Schedule } from "effect"
import { connectNats } from "#nats/connection.ts"
import type { Nats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import { serveObserve } from "#observe/http.ts"
import { runService } from "#observe/run.ts"
import { answer } from "./answer.ts"
import { authzConfig } from "./config.ts"
import type { LiveFold } from "./live-fold.ts"
import { makeLiveFold } from "./live-fold.ts"
import { makeTokens } from "./token.ts"

runService(
  "authz",
  Effect.gen(function* () {
    const config = yield* authzConfig
    let nats: Nats | undefined
    let fold: LiveFold | undefined
    let phase: "starting" | "answering" | "stopping" = "starting"
    const reasons = (): ReadonlyArray<string> => {
      if (nats === undefined || !nats.connected()) return ["there is no connection to NATS"]
      const why = fold?.reasons() ?? []
      return phase === "answering" || why.length > 0 ? why : [phase]
    }
    yield* serveObserve("authz", reasons)
    nats = yield* connectNats(Redacted.value(config.natsUrl), "authz", (error) =>
      Effect.logWarning(`waiting for NATS: ${error.message}`).pipe(Effect.annotateLogs({ hint: error.hint })),
    )
    const log = jetStreamLog(nats)
    fold = yield* makeLiveFold(log)
    const { reached } = fold
    // Whoever asks is better off with an instance that can answer: this one joins the others when it can.
    yield* Effect.tryPromise(() => reached(0)).pipe(Effect.retry(Schedule.forever))
    const now = () => Date.now()
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const report = (problem: string | null) =>
      void runFork(problem === null ? Effect.log("the key set can be read") : Effect.logWarning(problem).pipe(Effect.annotateLogs({ hint: "TIDELINE_JWKS_URL" })))
    yield* answer(nats, { fold, log, tokens: makeTokens(config.keys, now, report), demo: config.demo, now })
    yield* Effect.log("answering").pipe(Effect.annotateLogs({ demo: config.demo, keys: config.keys.type }))
    phase = "answering"
    yield* Effect.addFinalizer(() => Effect.sync(() => (phase = "stopping")))
    return yield* Effect.never
  }),
)
