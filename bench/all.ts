/** Every benchmark, in the order in which they run. */
import { authzRebuild } from "./authz-rebuild.ts"
import { authzResolve } from "./authz-resolve.ts"
import type { Benchmark } from "./benchmark.ts"
import { edgeFanout } from "./fanout.ts"
import { latency } from "./latency.ts"
import { outboxBloat } from "./outbox-bloat.ts"
import { relayThroughput } from "./relay.ts"
import { relayBacklog } from "./relay-backlog.ts"
import { relayIdle } from "./relay-idle.ts"
import { relayLatency } from "./relay-latency.ts"
import { relaySustained } from "./relay-sustained.ts"
import { authzRevoke } from "./revoke.ts"
import { revokeCrowd } from "./revoke-crowd.ts"
import { edgeState } from "./state.ts"
import { edgeStorm } from "./storm.ts"
import { writeBulk, writeSingle } from "./write.ts"

export const BENCHMARKS: ReadonlyArray<Benchmark> = [relayThroughput, relaySustained, relayLatency, relayIdle, relayBacklog, outboxBloat, writeSingle, writeBulk, latency, authzRevoke, revokeCrowd, authzResolve, authzRebuild, edgeFanout, edgeStorm, edgeState]
