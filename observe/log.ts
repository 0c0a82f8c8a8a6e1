/**
 * Logs: one JSON line an event on standard output, `{time, level, service, message, …annotations, error?}`. Expected failures
 * are values and are logged once, at the top of a service; what is here only writes lines.
 */
import { Cause, Config, Effect, Layer, Logger, References } from "effect"
import type { LogLevel } from "effect"
import type { ConfigProblem } from "./config-error.ts"
import { withFallback } from "./config-error.ts"

const LEVELS: Readonly<Record<string, LogLevel.LogLevel>> = {
  trace: "Trace", debug: "Debug", info: "Info", warn: "Warn", error: "Error", none: "None",
}

/** The smallest level that is written: TIDELINE_LOG_LEVEL, `info` unless set. */
const minimumLevel: Effect.Effect<LogLevel.LogLevel, ConfigProblem> = withFallback(
  "TIDELINE_LOG_LEVEL",
  "one of trace, debug, info, warn, error, none",
  (variable) => Config.Literals(["trace", "debug", "info", "warn", "error", "none"], variable),
  "info",
).pipe(Effect.map((name) => LEVELS[name] ?? "Info"))

const text = (part: unknown): string => {
  if (typeof part === "string") return part
  if (part instanceof Error) return part.message
  return JSON.stringify(part) ?? String(part)
}

const jsonLines = (service: string) =>
  Logger.make<unknown, void>(({ cause, date, fiber, logLevel, message }) => {
    const parts = Array.isArray(message) ? message : [message]
    const line: Record<string, unknown> = {
      time: date.toISOString(),
      level: logLevel.toLowerCase(),
      service,
      message: parts.map(text).join(" "),
      ...fiber.getRef(References.CurrentLogAnnotations),
    }
    if (cause.reasons.length > 0) line["error"] = Cause.pretty(cause)
    console.log(JSON.stringify(line))
  })

/** JSON lines for `service`, in place of Effect's own logger. */
export const logLayer = (service: string): Layer.Layer<never, ConfigProblem> =>
  Layer.merge(Logger.layer([jsonLines(service)]), Layer.effect(References.MinimumLogLevel, minimumLevel))
