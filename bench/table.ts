/** The figures as a table on a screen. */
import type { Row } from "./benchmark.ts"

const number = (n: number): string => n.toLocaleString("en", { maximumFractionDigits: n < 100 ? 2 : 0 })

export const table = (rows: ReadonlyArray<Row>): string => {
  const lines = [
    ["name", "value", "floor", "unit", "ratio", "note"],
    ...rows.map((r) => [r.name, number(r.value), number(r.floor), r.unit, r.ratio.toFixed(2), r.note]),
  ]
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)))
  const right = new Set([1, 2, 4])
  return lines.map((line) => line.map((cell, i) => (right.has(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ").trimEnd()).join("\n")
}
