/** From a writer's UPDATE to the frame in a client's hands, beside what its parts cost when nothing of ours stands between them. */
import { jetstream } from "@nats-io/jetstream"
import { Effect } from "effect"
import { once } from "node:events"
import { setTimeout as after } from "node:timers/promises"
import { WebSocket } from "ws"
import { connectOnce } from "#nats/connection.ts"
import { SUBPROTOCOL } from "#protocol/version.ts"
import type { Benchmark } from "./benchmark.ts"
import { BenchFailed, less, quantile } from "./benchmark.ts"
import type { BroadcastJobs } from "./broadcast-worker.ts"
import { ENTITY, openPlace, SCOPE } from "./place.ts"
import { ask } from "./rounds.ts"
import { startWorker } from "./worker.ts"

const SAMPLES = 1_000
/** Not counted: connections and code warm up. */
const WARM_UP = 100
/** Milliseconds of rest between two samples, at random up to this: the relay is met awake and asleep. */
const REST_MS = 10
/** Milliseconds after which a frame is given up. */
const GIVE_UP_MS = 10_000

export const latency: Benchmark = {
  names: ["latency.p50", "latency.p99"],
  run: Effect.fnUntraced(function* (say) {
    const { stack, sql, token } = yield* openPlace(["edge-2", "command", "web"])
    yield* ask(() => sql`insert into bench.item values (1, ${SCOPE}, 'item', 0)`)
    yield* ask(() => sql`insert into bench.plain values (1, ${SCOPE}, 'item', 0)`)
    const client = yield* Effect.acquireRelease(
      ask(() => openClient(`${stack.edgeUrls[0]!.replace("http", "ws")}/ws`, token)),
      (c) => Effect.sync(() => c.close()),
    )
    const nats = yield* connectOnce(stack.natsUrl, "bench").pipe(Effect.mapError((e) => new BenchFailed({ message: e.message, hint: e.hint })))
    yield* ask(() => nats.jetstream.streams.add({ name: "FLOOR", subjects: ["floor.>"] }))
    const js = jetstream(nats.connection)
    const echo = yield* startWorker<BroadcastJobs>(new URL("./broadcast-worker.ts", import.meta.url))
    const bare = yield* Effect.acquireRelease(
      Effect.flatMap(echo.ask("port", undefined), (port) => ask(() => openBare(port))),
      (socket) => Effect.sync(() => socket.terminate()),
    )

    let n = 0
    const whole = async (): Promise<number> => {
      const mark = `"n":${++n}`
      const seen = client.see(mark)
      const started = performance.now()
      await sql`update bench.item set n = ${n} where id = 1`
      return (await seen) - started
    }
    const parts = async (): Promise<number> => {
      const started = performance.now()
      await sql`update bench.plain set n = n + 1 where id = 1`
      await js.publish("floor.item", client.lastFrame())
      const back = once(bare, "message")
      bare.send(client.lastFrame())
      await back
      return performance.now() - started
    }

    const values: Array<number> = []
    const floors: Array<number> = []
    for (let i = 0; i < WARM_UP + SAMPLES; i++) {
      const value = yield* ask(whole)
      const floor = yield* ask(parts)
      if (i >= WARM_UP) {
        values.push(value)
        floors.push(floor)
      }
      yield* ask(() => after(Math.random() * REST_MS))
      if (i > 0 && i % 500 === 0) say(`${i} of ${WARM_UP + SAMPLES} changes seen`)
    }
    const note = `one-row UPDATE sent → frame parsed by a client of an edge, ${SAMPLES} samples; floor: untracked UPDATE + publish + bare socket there and back, one after the other`
    return [
      less("latency.p50", "ms", quantile(values, 0.5), quantile(floors, 0.5), note),
      less("latency.p99", "ms", quantile(values, 0.99), quantile(floors, 0.99), note),
    ]
  }),
}

interface Client {
  /** `performance.now()` at which a CHANGES frame with this text had come and was parsed. */
  readonly see: (text: string) => Promise<number>
  readonly lastFrame: () => string
  readonly close: () => void
}

/** A client that is live. */
const openClient = async (url: string, token: string): Promise<Client> => {
  const socket = new WebSocket(url, SUBPROTOCOL)
  let last = ""
  let waiting: { readonly text: string; readonly done: (at: number) => void } | null = null
  const live = new Promise<void>((resolve, reject) => {
    socket.on("error", reject)
    socket.on("close", (code, reason) => reject(new Error(`closed with ${code} ${reason.toString()}`)))
    socket.on("open", () => socket.send(JSON.stringify({ type: "AUTH", payload: { token } })))
    socket.on("message", (data) => {
      const text = (data as Buffer).toString()
      const { type } = JSON.parse(text) as { type: string }
      if (type === "AUTH_SUCCESS") socket.send(JSON.stringify({ type: "SUBSCRIBE", payload: { entityCode: ENTITY } }))
      if (type === "LIVE") resolve()
      if (type !== "CHANGES") return
      last = text
      if (waiting !== null && text.includes(waiting.text)) waiting.done(performance.now())
    })
  })
  await live
  return {
    see: (text) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no frame with ${text} within ${GIVE_UP_MS / 1000} s`)), GIVE_UP_MS)
        waiting = { text, done: (at) => {
          clearTimeout(timer)
          waiting = null
          resolve(at)
        } }
      }),
    lastFrame: () => last,
    close: () => socket.terminate(),
  }
}

const openBare = async (port: number): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`)
  await once(socket, "open")
  return socket
}
