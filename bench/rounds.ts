/** How figures are taken: every variant once a round, turn and turn about, and the median of each. */
import { Effect } from "effect"
import { BenchFailed, median } from "./benchmark.ts"

/** A noisy minute meets every variant: each round begins with another one. Gives the median of each. */
export const rounds = <K extends string, E, R>(
  count: number,
  variants: Readonly<Record<K, Effect.Effect<number, E, R>>>,
  onRound: (figures: Readonly<Record<K, number>>, round: number) => void,
): Effect.Effect<Readonly<Record<K, number>>, E, R> =>
  Effect.gen(function* () {
    const names = Object.keys(variants) as Array<K>
    const taken = Object.fromEntries(names.map((name) => [name, [] as Array<number>])) as Record<K, Array<number>>
    for (let round = 0; round < count; round++) {
      for (let i = 0; i < names.length; i++) {
        const name = names[(round + i) % names.length]!
        taken[name].push(yield* variants[name])
      }
      onRound(mapValues(taken, (figures) => figures[round]!), round + 1)
    }
    return mapValues(taken, median)
  })

const mapValues = <K extends string, A, B>(record: Readonly<Record<K, A>>, f: (a: A) => B): Record<K, B> =>
  Object.fromEntries(Object.entries<A>(record).map(([name, value]) => [name, f(value)])) as Record<K, B>

/** A promise as a step of a benchmark. */
export const ask = <A>(run: () => PromiseLike<A>): Effect.Effect<A, BenchFailed> =>
  Effect.tryPromise({
    try: async () => await run(),
    catch: (cause) => new BenchFailed({ message: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), hint: "" }),
  })
