/** From a writer's UPDATE to the frame in a client's hands, beside what its parts cost when nothing of ours stands between them. */
import { Effect } from "effect"
import { setTimeout as after } from "node:timers/promises"
import type { Benchmark } from "./benchmark.ts"
import { less, quantile } from "./benchmark.ts"
import { openClient } from "./client.ts"
import { openParts, PARTS } from "./parts.ts"
import { openPlace, SCOPE } from "./place.ts"
import { ask } from "./rounds.ts"

const SAMPLES = 1_000
/** Not counted: connections and code warm up. */
const WARM_UP = 100
/** Milliseconds of rest between two samples, at random up to this: the relay is met awake and asleep. */
const REST_MS = 10

export const latency: Benchmark = {
  names: ["latency.p50", "latency.p99"],
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openPlace(["edge-2", "command", "web"])
    const { stack, sql, token } = place
    yield* ask(() => sql`insert into bench.item values (1, ${SCOPE}, 'item', 0)`)
    const client = yield* Effect.acquireRelease(
      ask(() => openClient(stack.edgeUrls[0]!, token)),
      (c) => Effect.sync(() => c.close()),
    )
    const parts = yield* openParts(place)
    let n = 0
    const whole = async (): Promise<number> => {
      const seen = client.see("CHANGES", `"n":${++n}`)
      const started = performance.now()
      await sql`update bench.item set n = ${n} where id = 1`
      return (await seen) - started
    }

    const values: Array<number> = []
    const floors: Array<number> = []
    for (let i = 0; i < WARM_UP + SAMPLES; i++) {
      const value = yield* ask(whole)
      const floor = yield* ask(() => parts(client.lastChanges()))
      if (i >= WARM_UP) {
        values.push(value)
        floors.push(floor)
      }
      yield* ask(() => after(Math.random() * REST_MS))
      if (i > 0 && i % 500 === 0) say(`${i} of ${WARM_UP + SAMPLES} changes seen`)
    }
    const note = `one-row UPDATE sent → frame parsed by a client of an edge, ${SAMPLES} samples; floor: ${PARTS}`
    return [
      less("latency.p50", "ms", quantile(values, 0.5), quantile(floors, 0.5), note),
      less("latency.p99", "ms", quantile(values, 0.99), quantile(floors, 0.99), note),
    ]
  }),
}
