/** Arrow keys between cards: a pure step over the board's columns. */

export type Arrow = "ArrowUp" | "ArrowDown" | "ArrowLeft" | "ArrowRight"
export const isArrow = (key: string): key is Arrow =>
  key === "ArrowUp" || key === "ArrowDown" || key === "ArrowLeft" || key === "ArrowRight"

/** The card that `arrow` leads to from `from`; from nowhere, the first card there is. Null where there is none that way. */
export const neighbour = (columns: ReadonlyArray<ReadonlyArray<string>>, from: string | null, arrow: Arrow): string | null => {
  const column = from === null ? -1 : columns.findIndex((ids) => ids.includes(from))
  if (column < 0) return columns.find((ids) => ids.length > 0)?.[0] ?? null
  const row = columns[column]!.indexOf(from!)
  if (arrow === "ArrowUp") return columns[column]![row - 1] ?? null
  if (arrow === "ArrowDown") return columns[column]![row + 1] ?? null
  const step = arrow === "ArrowLeft" ? -1 : 1
  for (let c = column + step; c >= 0 && c < columns.length; c += step) {
    const ids = columns[c]!
    if (ids.length > 0) return ids[Math.min(row, ids.length - 1)]!
  }
  return null
}
