/**
 * What one edge delivers to many live connections, beside a bare broadcast of the same frames to as many sockets: how much a second where
 * changes come in a flood, and how much processor each delivery costs where they come one by one.
 */
import { Effect } from "effect"
import { setTimeout as after } from "node:timers/promises"
import type { Benchmark } from "./benchmark.ts"
import { less, median, more } from "./benchmark.ts"
import type { BroadcastJobs } from "./broadcast-worker.ts"
import { openLive } from "./live.ts"
import { insertOneByOne, openPlace, SCOPE } from "./place.ts"
import { cpuSeconds } from "./process-cost.ts"
import { ask } from "./rounds.ts"
import type { SocketsJobs } from "./sockets-worker.ts"
import { startWorker } from "./worker.ts"

const CONNECTIONS = 500
/** Changes of the flood, one a transaction, written at once; then all connections are waited for, so that nothing piles up. */
const FLOOD = 1_000
const ROUNDS = 5
/** Changes that come one by one, and milliseconds between two: far below what either server can do. */
const SINGLES = 300
const PACE_MS = 20
const KIND = '"type":"CHANGES"'

export const edgeFanout: Benchmark = {
  names: ["edge.fanout", "edge.cpu"],
  run: Effect.fnUntraced(function* (say) {
    const { stack, sql, token } = yield* openPlace(["edge-2", "command", "web"])
    const clients = yield* startWorker<SocketsJobs>(new URL("./sockets-worker.ts", import.meta.url))
    const others = yield* startWorker<SocketsJobs>(new URL("./sockets-worker.ts", import.meta.url))
    const bare = yield* startWorker<BroadcastJobs>(new URL("./broadcast-worker.ts", import.meta.url))
    yield* openLive(clients, stack.edgeUrls[0]!, token, CONNECTIONS, null)
    yield* others.ask("open", { port: yield* bare.ask("port", undefined), path: "/", protocol: null, count: CONNECTIONS })
    say(`${CONNECTIONS} connections are live`)

    const values: Array<number> = []
    const floors: Array<number> = []
    let inFrames = 0
    // The first round warms both up and does not count.
    for (let round = 0; round <= ROUNDS; round++) {
      const mark = `mark ${round} of the bench`
      const [seen] = yield* Effect.all([clients.ask("see", { mark, kind: KIND }), insertOneByOne(sql, round * FLOOD + 1, FLOOD, mark)], { concurrency: 2 })
      inFrames = seen.frames.length
      const [again] = yield* Effect.all([others.ask("see", { mark, kind: KIND }), bare.ask("send", { frames: seen.frames, paceMs: 0 })], { concurrency: 2 })
      if (round === 0) continue
      values.push((FLOOD * CONNECTIONS) / ((seen.at - seen.since) / 1000))
      floors.push((FLOOD * CONNECTIONS) / ((again.at - again.since) / 1000))
      say(`round ${round} of ${ROUNDS}: ${values.at(-1)!.toFixed(0)} deliveries/s, ${floors.at(-1)!.toFixed(0)} bare`)
    }

    const mark = "the last of the singles"
    const singles = async (): Promise<void> => {
      for (let i = 1; i <= SINGLES; i++) {
        await sql`insert into bench.item values (${1_000_000 + i}, ${SCOPE}, ${i === SINGLES ? mark : "item ".repeat(18)}, 0)`
        await after(PACE_MS)
      }
    }
    const edge = stack.pid("edge-1")!
    const before = yield* ask(() => cpuSeconds(edge))
    const [seen] = yield* Effect.all([clients.ask("see", { mark, kind: KIND }), ask(singles)], { concurrency: 2 })
    const cost = (yield* ask(() => cpuSeconds(edge))) - before
    const bareBefore = yield* ask(() => cpuSeconds(bare.pid))
    yield* Effect.all([others.ask("see", { mark, kind: KIND }), bare.ask("send", { frames: seen.frames, paceMs: PACE_MS })], { concurrency: 2 })
    const bareCost = (yield* ask(() => cpuSeconds(bare.pid))) - bareBefore
    const deliveries = SINGLES * CONNECTIONS

    return [
      more("edge.fanout", "deliveries/s", median(values), median(floors),
        `one edge, ${CONNECTIONS} connections in another process, ${FLOOD.toLocaleString("en")} changes of one row each at once, which came in ${inFrames} frames; floor: bare ws sending the same frames`),
      less("edge.cpu", "µs/delivery", (1e6 * cost) / deliveries, (1e6 * bareCost) / deliveries,
        `processor time of the edge for each delivery, ${CONNECTIONS} connections, ${1000 / PACE_MS} changes a second one by one, in ${seen.frames.length} frames; floor: bare ws sending the same frames at the same pace`),
    ]
  }),
}
