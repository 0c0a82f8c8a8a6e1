/**
 * Metrics, for hot loops: an observation is one plain call on plain numbers, with no fiber and no look-up. Each series is
 * registered with Effect's metric registry by a hook that reads those numbers when somebody asks (`/metrics`, OTLP).
 *
 * Names begin with `tideline_` and end with their unit; counters end with `_total`. Labels are few and bounded: never a user, an id or
 * a scope. A second series of the same name and labels replaces the first, so make each once, at module level or in its owner.
 */
import { Context, Metric } from "effect"

export type Labels = Readonly<Record<string, string>>

/** Only grows. */
export interface Counter {
  readonly add: (by?: number) => void
  readonly value: () => number
}

/** A number that goes up and down. */
export interface Gauge {
  readonly set: (value: number) => void
  readonly add: (by: number) => void
  readonly value: () => number
}

/** How often values fell below each boundary. */
export interface Histogram {
  /** Notes `value`, `times` over: a batch whose members share one value costs one call. */
  readonly observe: (value: number, times?: number) => void
  readonly count: () => number
}

const registry = Context.empty()
const noWrites = { update: () => {}, modify: () => {} }

export const counter = (name: string, description: string, labels: Labels = {}): Counter => {
  let count = 0
  const metric = Metric.counter(name, { description, attributes: labels, incremental: true })
  Metric.registerUnsafe(metric, registry, { ...noWrites, get: () => ({ count, incremental: true }) })
  return {
    add: (by = 1) => {
      count += by
    },
    value: () => count,
  }
}

export const gauge = (name: string, description: string, labels: Labels = {}): Gauge => {
  let value = 0
  gaugeOf(name, description, () => value, labels)
  return {
    set: (to) => {
      value = to
    },
    add: (by) => {
      value += by
    },
    value: () => value,
  }
}

/** A gauge that is read where the number already lives. */
export const gaugeOf = (name: string, description: string, read: () => number, labels: Labels = {}): void => {
  Metric.registerUnsafe(Metric.gauge(name, { description, attributes: labels }), registry, { ...noWrites, get: () => ({ value: read() }) })
}

/** `boundaries` ascend; a value counts under the first boundary that is not below it. */
export const histogram = (name: string, description: string, boundaries: ReadonlyArray<number>, labels: Labels = {}): Histogram => {
  const bounds = Float64Array.from(boundaries)
  const counts = new Float64Array(bounds.length + 1)
  let count = 0
  let sum = 0
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  const state = () => {
    let below = 0
    const buckets = Array.from(bounds, (bound, i): [number, number] => [bound, (below += counts[i]!)])
    return { buckets, count, sum, min: count === 0 ? 0 : min, max: count === 0 ? 0 : max }
  }
  Metric.registerUnsafe(Metric.histogram(name, { description, attributes: labels, boundaries }), registry, { ...noWrites, get: state })
  return {
    observe: (value, times = 1) => {
      let low = 0
      let high = bounds.length
      while (low < high) {
        const middle = (low + high) >>> 1
        if (bounds[middle]! < value) low = middle + 1
        else high = middle
      }
      counts[low]! += times
      count += times
      sum += value * times
      if (value < min) min = value
      if (value > max) max = value
    },
    count: () => count,
  }
}

/** Seconds, from half a millisecond (two processes on one machine) to a minute (something is broken). */
export const LAG_BOUNDARIES: ReadonlyArray<number> = [
  0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
]

/** Seconds that an answer takes. */
export const DURATION_BOUNDARIES: ReadonlyArray<number> = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
]

/** Where a change is on its way: acknowledged by the stream, taken up by an edge, handed to a socket. */
export type Hop = "published" | "dispatched" | "sent"

/** `tideline_hop_lag_seconds{hop}`: how long after the change in Postgres (`Tide-At`) it was there. Make it once a process. */
export const hopLag = (hop: Hop): Histogram =>
  histogram("tideline_hop_lag_seconds", "Seconds from the change in Postgres to this hop", LAG_BOUNDARIES, { hop })

/** Milliseconds since 1970 with their fraction: read once a batch, and hand it to `lagSeconds` for each member. */
export const nowMs = (): number => performance.timeOrigin + performance.now()

/**
 * Seconds from `at` (a `Tide-At`: ISO 8601, UTC, up to microseconds) to `now`, at least 0: two machines' clocks may differ.
 * NaN where `at` is not a time.
 */
export const lagSeconds = (at: string, now: number): number => {
  const whole = Date.parse(at)
  // Date.parse drops what is below a millisecond, which would be half of the smallest lag.
  const micros = at.charCodeAt(19) === 46 && at.length >= 26 ? Number(at.slice(23, 26)) / 1_000 : 0
  const lag = (now - whole - (Number.isNaN(micros) ? 0 : micros)) / 1_000
  return lag < 0 ? 0 : lag
}

/** Notes the lag of one change; one without a readable time is left out. */
export const observeLag = (lag: Histogram, at: string, now: number): void => {
  const seconds = lagSeconds(at, now)
  if (!Number.isNaN(seconds)) lag.observe(seconds)
}
