/**
 * An edge: follows the log, keeps a live connection for every browser that comes, and serves current state over HTTP. Needs NATS and, behind
 * it, authz and the command service; no Postgres. Any number of them, in every region; a client may go to any.
 */
import { Effect, Redacted } from "effect"
import type { Nats } from "#nats/connection.ts"
import { connectNats } from "#nats/connection.ts"
import { runService } from "#observe/run.ts"
import { serveObserve } from "#observe/http.ts"
import { edgeConfig } from "./config.ts"
import { runEdge } from "./edge.ts"
import { httpApi } from "./http.ts"
import { listen } from "./listen.ts"
import { edgeServices } from "./services.ts"

runService(
  "edge",
  Effect.gen(function* () {
    const config = yield* edgeConfig
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    let ready: () => ReadonlyArray<string> = () => ["starting"]
    yield* serveObserve("edge", () => ready())
    const nats: Nats = yield* connectNats(Redacted.value(config.natsUrl), "edge", (error) =>
      Effect.logWarning(`waiting for NATS: ${error.message}`).pipe(Effect.annotateLogs({ hint: error.hint })),
    )
    const services = edgeServices(nats, (cause) => void runFork(Effect.logError("a connection was ended by a mistake of ours", cause)))
    const edge = yield* runEdge(services)
    ready = () => (nats.connected() ? edge.reasons() : ["there is no connection to NATS", ...edge.reasons()])
    const { host, port, origins, demo } = config
    yield* listen({ host, port, origins, edge, http: httpApi({ edge, services, origins, demo, ready }) })
    yield* Effect.log("listening").pipe(Effect.annotateLogs({ host, port, demo }))
    return yield* Effect.never
  }),
)
