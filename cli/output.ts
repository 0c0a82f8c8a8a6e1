/** What a command writes: results on standard output, progress and errors on standard error. */
import { Effect } from "effect"

/** A line of the result. */
export const print = (line: string): Effect.Effect<void> => Effect.sync(() => console.log(line))

/** The result as JSON, for `--json`. */
export const printJson = (value: unknown): Effect.Effect<void> => print(JSON.stringify(value, null, 2))

/** A line that tells how far it is; on a terminal each replaces the one before. */
export const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`)
  else process.stderr.write(`${text}\n`)
}

/** Ends the progress line on a terminal. */
export const progressDone = (): void => {
  if (process.stderr.isTTY) process.stderr.write("\n")
}

/** Columns aligned, two blanks between them; numbers to the right. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string | number>>): string => {
  const cell = (value: string | number): string => (typeof value === "number" ? value.toLocaleString("en") : value)
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => cell(row[i] ?? "").length)))
  return rows
    .map((row) => row.map((value, i) => (typeof value === "number" ? cell(value).padStart(widths[i]!) : cell(value).padEnd(widths[i]!))).join("  ").trimEnd())
    .join("\n")
}

/** `3 B`, `1.2 MiB`, `40 GiB`: two figures, for people. */
export const size = (bytes: number): string => {
  const power = Math.min(4, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))
  const value = bytes / 1024 ** power
  return `${value < 10 && power > 0 ? Number(value.toFixed(1)) : Math.round(value)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]!}`
}
