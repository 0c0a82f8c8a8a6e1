/** Every benchmark, in the order in which they run. */
import type { Benchmark } from "./benchmark.ts"
import { edgeFanout } from "./fanout.ts"
import { latency } from "./latency.ts"
import { relayThroughput } from "./relay.ts"
import { authzRevoke } from "./revoke.ts"
import { edgeState } from "./state.ts"
import { edgeStorm } from "./storm.ts"
import { writeBulk, writeSingle } from "./write.ts"

export const BENCHMARKS: ReadonlyArray<Benchmark> = [relayThroughput, writeSingle, writeBulk, latency, authzRevoke, edgeFanout, edgeStorm, edgeState]
