/** Why a process ended, as far as its output says: one line for the screen. */

/** Lines of a stack trace, and what Node prints around one. */
const NOISE = /^\s*(at\s|\^|node:|Node\.js v|throw\s|file:\/\/|\}|code:|$)/
const ERROR = /^(Uncaught\s+)?(\w*Error\b|[A-Z][A-Z0-9_]{3,}:\s)|\b(FATAL|PANIC)\b|\[FTL\]/

/**
 * The error among the last lines it printed, else the last line that says something, or null. Of a process that a signal ended, an error alone:
 * its last line is only what it was doing.
 */
export const lastWords = (lines: ReadonlyArray<string>, signalled: boolean): string | null => {
  const said = lines.map(messageOf).filter((line) => !NOISE.test(line))
  return said.findLast((line) => ERROR.test(line)) ?? (signalled ? null : (said.at(-1) ?? null))
}

/** A service's line is JSON: its message stands for it. */
const messageOf = (line: string): string => {
  if (!line.startsWith("{")) return line
  try {
    const { message } = JSON.parse(line) as { message?: unknown }
    return typeof message === "string" ? message : line
  } catch {
    return line
  }
}
