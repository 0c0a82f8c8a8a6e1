/** How far CHANGES is, asked over a connection of the benchmark's own. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { setTimeout as after } from "node:timers/promises"
import { connectOnce } from "#nats/connection.ts"
import { CHANGES } from "#nats/streams.ts"
import { BenchFailed } from "./benchmark.ts"
import type { Place } from "./place.ts"

/** Milliseconds between two looks at the stream while it fills. */
const LOOK_MS = 5
/** Milliseconds after which a relay that publishes nothing is given up. */
const GIVE_UP_MS = 60_000

export interface Changes {
  readonly lastSeq: () => Promise<number>
  /** Resolves with `performance.now()` at the first look that saw this sequence. */
  readonly reach: (seq: number) => Promise<number>
}

export const openChanges = ({ stack }: Place): Effect.Effect<Changes, BenchFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const nats = yield* connectOnce(stack.natsUrl, "bench").pipe(Effect.mapError((e) => new BenchFailed({ message: e.message, hint: e.hint })))
    const lastSeq = async (): Promise<number> => (await nats.jetstream.streams.info(CHANGES)).state.last_seq
    return {
      lastSeq,
      reach: async (seq) => {
        let seen = 0
        let movedAt = performance.now()
        for (;;) {
          const last = await lastSeq()
          const now = performance.now()
          if (last >= seq) return now
          if (last > seen) movedAt = now
          seen = last
          if (now - movedAt > GIVE_UP_MS) throw new Error(`${CHANGES} stands at ${last} for ${GIVE_UP_MS / 1000} s, ${seq} was to come`)
          await after(LOOK_MS)
        }
      },
    }
  })
