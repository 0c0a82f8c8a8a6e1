/** Whether the relay keeps up with as much as many clients can write, on the same machine: what is in the stream when they stop, and how long the rest takes. */
import { Effect } from "effect"
import type { Benchmark } from "./benchmark.ts"
import { median, more } from "./benchmark.ts"
import { openChanges } from "./changes.ts"
import { openPlace, RELAY_ALONE, SCOPE } from "./place.ts"
import { cpuSeconds } from "./process-cost.ts"
import { ask } from "./rounds.ts"
import { tpsDriver } from "./tps.ts"

const CLIENTS = 16
const ROWS = 10_000
const SECONDS = 5
const ROUNDS = 3

export const relaySustained: Benchmark = {
  names: ["relay.sustained"],
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openPlace(RELAY_ALONE)
    const { stack, sql } = place
    const changes = yield* openChanges(place)
    const driver = yield* tpsDriver
    const empty = yield* ask(changes.lastSeq)
    yield* ask(() => sql.unsafe(`insert into bench.item select n, '${SCOPE}', repeat('item ', 18), 0 from generate_series(1, ${ROWS}) n`))
    yield* ask(() => changes.reach(empty + ROWS))
    const outbox = async (): Promise<number> => Number((await sql<Array<{ count: string }>>`select count(*) from tide.outbox`)[0]!.count)

    const values: Array<number> = []
    const floors: Array<number> = []
    const drains: Array<number> = []
    const costs: Array<number> = []
    for (let round = 1; round <= ROUNDS; round++) {
      const [before, had] = [yield* ask(changes.lastSeq), yield* ask(outbox)]
      const cost = yield* ask(() => cpuSeconds(stack.pid("relay")!))
      const started = performance.now()
      yield* driver.tps({ url: stack.databaseUrl, statement: "update bench.item set n = n + 1 where id = :id", ids: ROWS, clients: CLIENTS, seconds: SECONDS })
      const stopped = performance.now()
      const published = (yield* ask(changes.lastSeq)) - before
      const written = (yield* ask(outbox)) - had
      const drained = yield* ask(() => changes.reach(before + written))
      const seconds = (stopped - started) / 1000
      values.push(published / seconds)
      floors.push(written / seconds)
      drains.push(Math.max(0, drained - stopped))
      costs.push((1e6 * ((yield* ask(() => cpuSeconds(stack.pid("relay")!))) - cost)) / written)
      say(`round ${round} of ${ROUNDS}: ${written} written, ${published} of them published when the writers stopped, the rest ${drains.at(-1)!.toFixed(0)} ms later`)
    }
    return [more("relay.sustained", "rows/s", median(values), median(floors),
      `published while ${CLIENTS} clients of ${driver.name} write single-row updates for ${SECONDS} s, on the same cores; floor: what they wrote. What was left when they stopped was in the stream ${median(drains).toFixed(0)} ms later; ${median(costs).toFixed(1)} µs of the relay's processor a row`)]
  }),
}
