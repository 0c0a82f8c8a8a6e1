/** What a benchmark is: a figure of ours beside a floor, the bare library or server doing the same work in the same run. */
import type { Effect, Scope } from "effect"
import { Schema } from "effect"

/** One line of the result; also the form of `--json`. */
export interface Row {
  readonly name: string
  readonly unit: string
  readonly value: number
  readonly floor: number
  /** Value by floor, the way round in which higher is better. */
  readonly ratio: number
  readonly note: string
}

export class BenchFailed extends Schema.TaggedError<BenchFailed>()("BenchFailed", {
  message: Schema.String,
  hint: Schema.String,
}) {}

/** A run that measures the rows it names. It says how far it is; the machine is its own for as long as it runs. */
export interface Benchmark {
  readonly names: ReadonlyArray<string>
  /** `minutes`: how long its load is wanted to last, where it has one that may be long; null: its own short time. */
  readonly run: (say: (text: string) => void, minutes: number | null) => Effect.Effect<ReadonlyArray<Row>, BenchFailed, Scope.Scope>
}

/** A row of something of which more is better (a rate). */
export const more = (name: string, unit: string, value: number, floor: number, note: string): Row => ({
  name, unit, value: round(value), floor: round(floor), ratio: Number((value / floor).toFixed(3)), note,
})

/** A row of something of which less is better (a delay). */
export const less = (name: string, unit: string, value: number, floor: number, note: string): Row => ({
  name, unit, value: round(value), floor: round(floor), ratio: Number((floor / value).toFixed(3)), note,
})

/** Four figures are all that a measurement here can carry. */
const round = (n: number): number => Number(n.toPrecision(4))

/** The middle one; of an even number the mean of the middle two. */
export const median = (values: ReadonlyArray<number>): number => (quantile(values, 0.5) + quantile(values, 0.5, "upper")) / 2

/** The value below or at which this part of them lies. */
export const quantile = (values: ReadonlyArray<number>, part: number, side: "lower" | "upper" = "lower"): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = part * (sorted.length - 1)
  return sorted[side === "lower" ? Math.floor(at) : Math.ceil(at)]!
}
