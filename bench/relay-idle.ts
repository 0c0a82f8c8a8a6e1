/** What a relay costs while nobody writes, beside a process with the same open connections that does nothing. */
import { Effect } from "effect"
import { setTimeout as after } from "node:timers/promises"
import type { Benchmark } from "./benchmark.ts"
import { less } from "./benchmark.ts"
import type { IdleJobs } from "./idle-worker.ts"
import { openPlace, RELAY_ALONE, SCOPE } from "./place.ts"
import { fineCpuSeconds } from "./process-cost.ts"
import { ask } from "./rounds.ts"
import { startWorker } from "./worker.ts"

/** Longer than the longest pause between two looks of a sleeping relay. */
const SECONDS = 35
const PIECE_S = 7
/** Milliseconds between two looks at its sessions. */
const LOOK_MS = 50
/** Milliseconds for what a process does once after its start. */
const SETTLE_MS = 2_000
const NOTHING = "bench idle"

export const relayIdle: Benchmark = {
  names: ["relay.idle"],
  run: Effect.fnUntraced(function* (say) {
    const { stack, sql } = yield* openPlace(RELAY_ALONE)
    yield* ask(() => sql`insert into bench.item values (1, ${SCOPE}, 'item', 0)`)
    const backends = async (name: string): Promise<ReadonlyArray<number>> =>
      (await sql<Array<{ pid: number }>>`select pid from pg_stat_activity where application_name like ${`${name}%`}`).map(({ pid }) => pid)
    /** Sessions and the times at which their newest queries began: looked at often enough, each query of a sleeper is seen. */
    const queries = new Set<string>()
    const lookForQueries = async (): Promise<void> => {
      const rows = await sql<Array<{ query: string }>>`select pid || ' ' || query_start as query from pg_stat_activity where application_name like 'tideline relay%'`
      for (const { query } of rows) queries.add(query)
    }
    const asleep = async (): Promise<void> => {
      for (let tries = 0; tries < 100; tries++) {
        const metrics = await fetch(`${stack.observeUrl("relay")}/metrics`).then((answer) => answer.text())
        if (/^tideline_relay_asleep(\{[^}]*\})? 1$/m.test(metrics)) return
        await after(100)
      }
      throw new Error("the relay did not fall asleep within 10 s")
    }
    /** Its connection for rebuilds goes when nothing is to be rebuilt. */
    const alone = async (): Promise<void> => {
      for (let tries = 0; tries < 300; tries++) {
        if ((await backends("tideline relay rebuild")).length === 0) return
        await after(100)
      }
      throw new Error("the relay kept its connection for rebuilds for 30 s")
    }
    yield* ask(asleep)
    yield* ask(alone)
    const sessions = yield* ask(() => backends("tideline relay"))
    const worker = yield* startWorker<IdleJobs>(new URL("./idle-worker.ts", import.meta.url))
    yield* worker.ask("open", { databaseUrl: stack.databaseUrl, natsUrl: stack.natsUrl, name: NOTHING, sessions: sessions.length })
    const others = yield* ask(() => backends(NOTHING))
    yield* ask(() => after(SETTLE_MS))

    const read = async () => ({
      relay: await fineCpuSeconds(stack.pid("relay")!),
      sessions: await sumOf(sessions),
      nothing: await fineCpuSeconds(worker.pid),
      others: await sumOf(others),
      nats: await fineCpuSeconds(stack.pid("nats")!),
    })
    const before = yield* ask(read)
    yield* ask(lookForQueries)
    const known = queries.size
    for (let s = 0; s < SECONDS; s += PIECE_S) {
      for (let ms = 0; ms < PIECE_S * 1000; ms += LOOK_MS) {
        yield* ask(() => after(LOOK_MS))
        yield* ask(lookForQueries)
      }
      say(`${s + PIECE_S} of ${SECONDS} s asleep`)
    }
    const now = yield* ask(read)
    const perMinute = (key: keyof typeof now): number => ((now[key] - before[key]) * 60_000) / SECONDS
    return [less("relay.idle", "ms/min", perMinute("relay") + perMinute("sessions"), perMinute("nothing") + perMinute("others"),
      `processor time of a sleeping relay (${perMinute("relay").toFixed(0)}) and of its ${sessions.length} Postgres sessions (${perMinute("sessions").toFixed(1)}), ${((queries.size - known) / SECONDS).toFixed(2)} queries/s; floor: a bare process with as many connections that does nothing (${perMinute("nothing").toFixed(0)}, its sessions ${perMinute("others").toFixed(1)}). nats-server, for both and itself: ${perMinute("nats").toFixed(0)}`)]
  }),
}

const sumOf = async (pids: ReadonlyArray<number>): Promise<number> => (await Promise.all(pids.map(fineCpuSeconds))).reduce((a, b) => a + b, 0)
