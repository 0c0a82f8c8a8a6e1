/**
 * The outbox relay. Rows come from `tide.outbox` in Postgres (hop 1) and go into the stream CHANGES (hop 3). Any number of instances may
 * run; one has the lease and works.
 */
import { Effect, Redacted } from "effect"
import { serveObserve } from "#observe/http.ts"
import { runService } from "#observe/run.ts"
import { relayConfig } from "./config.ts"
import { relay } from "./relay.ts"
import { makeStatus } from "./status.ts"

runService(
  "relay",
  Effect.gen(function* () {
    const config = yield* relayConfig
    const status = yield* makeStatus
    yield* serveObserve("relay", status.reasons)
    const { databaseUrl, directUrl, natsUrl } = config
    return yield* relay({ ...config, databaseUrl: Redacted.value(databaseUrl), directUrl: Redacted.value(directUrl), natsUrl: Redacted.value(natsUrl) }, status)
  }),
)
