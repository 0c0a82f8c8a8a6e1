/** What one edge delivers a second to many live connections, beside a bare broadcast of the same frames to as many sockets. */
import { Effect } from "effect"
import type { Benchmark } from "./benchmark.ts"
import { median, more } from "./benchmark.ts"
import type { BroadcastJobs } from "./broadcast-worker.ts"
import { openLive } from "./live.ts"
import { insertOneByOne, openPlace } from "./place.ts"
import type { SocketsJobs } from "./sockets-worker.ts"
import { startWorker } from "./worker.ts"

const CONNECTIONS = 500
/** Changes that are written at once, one a transaction; then all connections are waited for, so that nothing piles up. */
const CHANGES = 1_000
const ROUNDS = 5
const KIND = '"type":"CHANGES"'

export const edgeFanout: Benchmark = {
  names: ["edge.fanout"],
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
    let frames: ReadonlyArray<string> = []
    // The first round warms both up and does not count.
    for (let round = 0; round <= ROUNDS; round++) {
      const mark = `mark ${round} of the bench`
      const [seen] = yield* Effect.all([clients.ask("see", { mark, kind: KIND }), insertOneByOne(sql, round * CHANGES + 1, CHANGES, mark)], { concurrency: 2 })
      frames = seen.frames
      const [again] = yield* Effect.all([others.ask("see", { mark, kind: KIND }), bare.ask("send", frames)], { concurrency: 2 })
      if (round === 0) continue
      values.push((CHANGES * CONNECTIONS) / ((seen.at - seen.since) / 1000))
      floors.push((CHANGES * CONNECTIONS) / ((again.at - again.since) / 1000))
      say(`round ${round} of ${ROUNDS}: ${values.at(-1)!.toFixed(0)} deliveries/s, ${floors.at(-1)!.toFixed(0)} bare`)
    }
    return [more("edge.fanout", "deliveries/s", median(values), median(floors),
      `one edge, ${CONNECTIONS} connections in another process, ${CHANGES} changes of one row each in ${frames.length} frames; floor: bare ws sending the same frames`)]
  }),
}
