/** What a client waits for: its first state, and what it missed while it was away and no edge remembers; beside a bare reader of the same messages. */
import { DeliverPolicy, jetstream } from "@nats-io/jetstream"
import { Effect } from "effect"
import { connectOnce } from "#nats/connection.ts"
import { STATE } from "#nats/streams.ts"
import { filterSubject } from "#protocol/subject.ts"
import type { Benchmark } from "./benchmark.ts"
import { BenchFailed, less, median, more } from "./benchmark.ts"
import { openLive } from "./live.ts"
import { ENTITY, openPlace, SCOPE } from "./place.ts"
import { ask } from "./rounds.ts"
import type { SocketsJobs } from "./sockets-worker.ts"
import { startWorker } from "./worker.ts"

const ROWS = 20_000
const ROUNDS = 5
/** While the client is away so many rows change, each so often. */
const CHANGED = 500
const TIMES = 20

export const edgeState: Benchmark = {
  names: ["edge.firststate", "edge.catchup"],
  run: Effect.fnUntraced(function* (say) {
    const { stack, sql, token } = yield* openPlace(["edge-2", "command", "web"])
    const edge = stack.edgeUrls[0]!
    const client = yield* startWorker<SocketsJobs>(new URL("./sockets-worker.ts", import.meta.url))
    const nats = yield* connectOnce(stack.natsUrl, "bench").pipe(Effect.mapError((e) => new BenchFailed({ message: e.message, hint: e.hint })))
    yield* ask(() => sql.unsafe(`insert into bench.item select n, '${SCOPE}', repeat('item ', 18) || n, 0 from generate_series(1, ${ROWS}) n`))

    /** Milliseconds for a bare consumer to read what STATE holds of the scope after `seq`. */
    const read = async (after: number, count: number): Promise<number> => {
      const started = performance.now()
      const consumer = await jetstream(nats.connection).consumers.get(STATE, {
        filter_subjects: [filterSubject({ scope: SCOPE, entity: ENTITY, id: null })],
        ...(after === 0 ? {} : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: after + 1 }),
      })
      let left = count
      for await (const message of await consumer.consume({ max_messages: 5_000 })) if (message.data.length > 0 && --left === 0) break
      return performance.now() - started
    }
    const lastSeq = async (): Promise<number> => (await nats.jetstream.streams.info(STATE)).state.last_seq
    const join = (cursor: string | null) =>
      Effect.gen(function* () {
        const started = performance.now()
        const now = yield* openLive(client, edge, token, 1, cursor)
        const took = performance.now() - started
        yield* client.ask("close", undefined)
        return { cursor: now, took }
      })

    const first = { values: [] as Array<number>, floors: [] as Array<number> }
    yield* ask(() => read(0, ROWS))
    let held = yield* join(null)
    for (let round = 1; round <= ROUNDS; round++) {
      held = yield* join(null)
      first.values.push(ROWS / (held.took / 1000))
      first.floors.push(ROWS / ((yield* ask(() => read(0, ROWS))) / 1000))
    }
    say(`first state: ${median(first.values).toFixed(0)} rows/s, ${median(first.floors).toFixed(0)} by a bare consumer`)

    const missed = { values: [] as Array<number>, floors: [] as Array<number> }
    for (let round = 1; round <= ROUNDS; round++) {
      const before = yield* ask(lastSeq)
      yield* ask(() => stack.hold("edge-1"))
      for (let i = 0; i < TIMES; i++) yield* ask(() => sql`update bench.item set n = n + 1 where id <= ${CHANGED}`)
      // A new edge remembers nothing: what was missed comes from STATE.
      yield* ask(() => stack.release("edge-1"))
      missed.floors.push(yield* ask(() => read(before, CHANGED)))
      held = yield* join(held.cursor)
      missed.values.push(held.took)
      say(`round ${round} of ${ROUNDS}: caught up in ${held.took.toFixed(1)} ms, ${missed.floors.at(-1)!.toFixed(1)} by a bare consumer`)
    }
    return [
      more("edge.firststate", "rows/s", median(first.values), median(first.floors),
        `a new client's ${ROWS.toLocaleString("en")} rows, from connecting to LIVE; floor: a bare consumer of nats.js reading the same messages from STATE`),
      less("edge.catchup", "ms", median(missed.values), median(missed.floors),
        `a client comes back to an edge that was just started, after ${(CHANGED * TIMES).toLocaleString("en")} changes of ${CHANGED} rows: from connecting to LIVE; floor: a bare consumer reading the ${CHANGED} newest versions from STATE`),
    ]
  }),
}
