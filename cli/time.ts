/** Times and spans as people type them: `90s`, `10m`, `2h`, `30d`, or an ISO 8601 instant. Pure. */
import { Effect } from "effect"
import { UsageError } from "./failure.ts"

const MILLISECONDS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

const span = /^(\d+(?:\.\d+)?)([smhd])$/

/** Milliseconds of `10m`, or null where the text is not a span. */
export const spanMilliseconds = (text: string): number | null => {
  const match = span.exec(text)
  return match === null ? null : Number(match[1]) * MILLISECONDS[match[2] as keyof typeof MILLISECONDS]
}

/** Milliseconds of the value of an option that takes a span, more than 0. */
export const requireSpan = (option: string, text: string): Effect.Effect<number, UsageError> => {
  const milliseconds = spanMilliseconds(text)
  return milliseconds === null || milliseconds <= 0
    ? Effect.fail(new UsageError({ message: `--${option} ${text} is not a span of time.`, hint: "A number and s, m, h or d: 90s, 10m, 2h, 30d." }))
    : Effect.succeed(milliseconds)
}

/** The instant that a span before (-1) or after (+1) `now` or an ISO 8601 text names. */
export const requireInstant = (option: string, text: string, now: number, direction: -1 | 1): Effect.Effect<Date, UsageError> => {
  const milliseconds = spanMilliseconds(text)
  const instant = milliseconds === null ? new Date(/^\d{4}-/.test(text) ? text : Number.NaN) : new Date(now + direction * milliseconds)
  return Number.isNaN(instant.getTime())
    ? Effect.fail(new UsageError({ message: `--${option} ${text} is not a time.`, hint: "A span (90s, 10m, 2h, 30d) or an instant (2026-01-31T12:00:00Z)." }))
    : Effect.succeed(instant)
}

/** `3 ms`, `1.2 s`, `4 min`, `2.5 h`, `3 d`: two figures, for people. */
export const spell = (milliseconds: number): string => {
  const of = (n: number, unit: string) => `${n < 10 && unit !== "ms" ? Number(n.toFixed(1)) : Math.round(n)} ${unit}`
  if (milliseconds < 1_000) return of(milliseconds, "ms")
  if (milliseconds < 60_000) return of(milliseconds / 1_000, "s")
  if (milliseconds < 3_600_000) return of(milliseconds / 60_000, "min")
  return milliseconds < 86_400_000 ? of(milliseconds / 3_600_000, "h") : of(milliseconds / 86_400_000, "d")
}
