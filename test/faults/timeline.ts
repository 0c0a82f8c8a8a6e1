/** A picture of a run in text: a line for each kind, a mark where it struck, the taller the longer it took to recover. Pure. */
import type { Struck } from "./run.ts"

const WIDTH = 60
/** By milliseconds until a change was published again. */
const MARKS: ReadonlyArray<readonly [below: number, mark: string]> = [[250, "▁"], [1_000, "▂"], [2_500, "▄"], [10_000, "▆"], [Number.POSITIVE_INFINITY, "█"]]

export const timeline = (struck: ReadonlyArray<Struck>, ms: number): ReadonlyArray<string> => {
  if (struck.length === 0) return []
  const kinds = [...Map.groupBy(struck, ({ kind }) => kind)]
  const width = Math.max(...kinds.map(([kind]) => kind.length))
  const lines = kinds.map(([kind, faults]) => {
    const cells = Array.from({ length: WIDTH }, () => "·")
    const worst = new Map<number, number>()
    for (const { at, recovered } of faults) {
      const column = Math.min(WIDTH - 1, Math.floor((at / ms) * WIDTH))
      worst.set(column, Math.max(worst.get(column) ?? 0, recovered ?? Number.POSITIVE_INFINITY))
    }
    for (const [column, time] of worst) cells[column] = time === Number.POSITIVE_INFINITY ? "✗" : MARKS.find(([below]) => time < below)![1]
    return `  ${kind.padEnd(width)}  ${cells.join("")}`
  })
  return [`When they struck (▁ published again within 0.25 s, ▂ 1 s, ▄ 2.5 s, ▆ 10 s, █ later)`, ...lines]
}
