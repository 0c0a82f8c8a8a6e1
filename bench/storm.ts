/** A deploy: every connection of an edge is lost at once and comes back with its cursor. And what each costs while it is idle. */
import { Effect } from "effect"
import type { Benchmark } from "./benchmark.ts"
import { less, median, more } from "./benchmark.ts"
import type { BroadcastJobs } from "./broadcast-worker.ts"
import { openLive } from "./live.ts"
import { insertOneByOne, openPlace } from "./place.ts"
import { residentKb } from "./process-cost.ts"
import { ask } from "./rounds.ts"
import type { SocketsJobs } from "./sockets-worker.ts"
import { startWorker } from "./worker.ts"

const CONNECTIONS = 2_000
const ROUNDS = 3
/** Rows that each holds, and changes that happen while all are away. */
const ROWS = 100
const MISSED = 20

export const edgeStorm: Benchmark = {
  names: ["edge.memory", "edge.storm"],
  run: Effect.fnUntraced(function* (say) {
    const { stack, sql, token } = yield* openPlace(["edge-2", "command", "web"])
    const edge = stack.edgeUrls[0]!
    const clients = yield* startWorker<SocketsJobs>(new URL("./sockets-worker.ts", import.meta.url))
    const others = yield* startWorker<SocketsJobs>(new URL("./sockets-worker.ts", import.meta.url))
    const bare = yield* startWorker<BroadcastJobs>(new URL("./broadcast-worker.ts", import.meta.url))
    const bareAddress = { port: yield* bare.ask("port", undefined), path: "/", protocol: null }
    yield* insertOneByOne(sql, 1, ROWS, "the last row")

    // A few first: what is made once for all connections is no cost of theirs.
    yield* openLive(clients, edge, token, 10, null)
    yield* others.ask("open", { ...bareAddress, count: 10 })
    const [before, bareBefore] = [yield* ask(() => residentKb(stack.pid("edge-1")!)), yield* ask(async () => residentKb(bare.pid))]
    yield* clients.ask("close", undefined)
    yield* others.ask("close", undefined)
    let cursor = yield* openLive(clients, edge, token, CONNECTIONS, null)
    yield* others.ask("open", { ...bareAddress, count: CONNECTIONS })
    const [held, bareHeld] = [yield* ask(() => residentKb(stack.pid("edge-1")!)), yield* ask(async () => residentKb(bare.pid))]
    say(`${CONNECTIONS} connections are live`)

    const values: Array<number> = []
    const floors: Array<number> = []
    for (let round = 1; round <= ROUNDS; round++) {
      yield* clients.ask("close", undefined)
      yield* others.ask("close", undefined)
      yield* insertOneByOne(sql, round * 1_000, MISSED, `missed ${round}`)
      const started = performance.now()
      cursor = yield* openLive(clients, edge, token, CONNECTIONS, cursor)
      values.push(CONNECTIONS / ((performance.now() - started) / 1000))
      const bareStarted = performance.now()
      yield* others.ask("open", { ...bareAddress, count: CONNECTIONS })
      yield* others.ask("say", { text: "are you there?", until: "are you there?" })
      floors.push(CONNECTIONS / ((performance.now() - bareStarted) / 1000))
      say(`round ${round} of ${ROUNDS}: ${values.at(-1)!.toFixed(0)} connections/s back and level, ${floors.at(-1)!.toFixed(0)} bare`)
    }
    return [
      less("edge.memory", "kB", (held - before) / CONNECTIONS, (bareHeld - bareBefore) / CONNECTIONS,
        `resident memory of an edge for each of ${CONNECTIONS.toLocaleString("en")} live idle connections; floor: of a bare ws server`),
      more("edge.storm", "connections/s", median(values), median(floors),
        `${CONNECTIONS.toLocaleString("en")} connections come back at once: sign in, resume, get ${MISSED} changes, are live; floor: as many bare ws connections with one message there and back`),
    ]
  }),
}
