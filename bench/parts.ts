/** The floor of everything that goes from a writer to a client: its parts, one after the other, with nothing of ours between them. */
import { jetstream } from "@nats-io/jetstream"
import { Effect } from "effect"
import type { Scope } from "effect"
import { once } from "node:events"
import { WebSocket } from "ws"
import { connectOnce } from "#nats/connection.ts"
import { BenchFailed } from "./benchmark.ts"
import type { BroadcastJobs } from "./broadcast-worker.ts"
import type { Place } from "./place.ts"
import { SCOPE } from "./place.ts"
import { ask } from "./rounds.ts"
import { startWorker } from "./worker.ts"

export const PARTS = "untracked UPDATE + publish + bare socket there and back, one after the other"

/** Milliseconds for a one-row UPDATE of an untracked table, a publish of `frame` with its acknowledgement, and `frame` through a bare socket and back. */
export const openParts = ({ stack, sql }: Place): Effect.Effect<(frame: string) => Promise<number>, BenchFailed, Scope.Scope> =>
  Effect.gen(function* () {
    yield* ask(() => sql`insert into bench.plain values (1, ${SCOPE}, 'item', 0)`)
    const nats = yield* connectOnce(stack.natsUrl, "bench").pipe(Effect.mapError((e) => new BenchFailed({ message: e.message, hint: e.hint })))
    yield* ask(() => nats.jetstream.streams.add({ name: "FLOOR", subjects: ["floor.>"] }))
    const js = jetstream(nats.connection)
    const echo = yield* startWorker<BroadcastJobs>(new URL("./broadcast-worker.ts", import.meta.url))
    const port = yield* echo.ask("port", undefined)
    const bare = yield* Effect.acquireRelease(ask(() => openBare(port)), (socket) => Effect.sync(() => socket.terminate()))
    return async (frame) => {
      const started = performance.now()
      await sql`update bench.plain set n = n + 1 where id = 1`
      await js.publish("floor.item", frame)
      const back = once(bare, "message")
      bare.send(frame)
      await back
      return performance.now() - started
    }
  })

const openBare = async (port: number): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`)
  await once(socket, "open")
  return socket
}
