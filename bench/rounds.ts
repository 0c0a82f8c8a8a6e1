/** How figures are taken: value and floor turn and turn about, and the median of each. */
import { Effect } from "effect"
import { BenchFailed, median } from "./benchmark.ts"

/** So many rounds of one and the other, turn and turn about, so that a noisy minute meets both. Medians. */
export const alternate = <E, R>(
  rounds: number,
  value: Effect.Effect<number, E, R>,
  floor: Effect.Effect<number, E, R>,
  onRound: (value: number, floor: number, round: number) => void,
) =>
  Effect.gen(function* () {
    const values: Array<number> = []
    const floors: Array<number> = []
    for (let i = 0; i < rounds; i++) {
      const first = i % 2 === 0 ? yield* value : yield* floor
      const second = i % 2 === 0 ? yield* floor : yield* value
      values.push(i % 2 === 0 ? first : second)
      floors.push(i % 2 === 0 ? second : first)
      onRound(values.at(-1)!, floors.at(-1)!, i)
    }
    return { value: median(values), floor: median(floors) }
  })

/** A promise as a step of a benchmark. */
export const ask = <A>(run: () => PromiseLike<A>): Effect.Effect<A, BenchFailed> =>
  Effect.tryPromise({
    try: async () => await run(),
    catch: (cause) => new BenchFailed({ message: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), hint: "" }),
  })
