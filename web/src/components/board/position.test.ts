import { describe, expect, it } from "vitest"
import { place } from "./position.ts"

/** The column after the move, and whether it is in strict order. */
const moved = (positions: ReadonlyArray<number>, index: number): ReadonlyArray<number> => {
  const { position, others } = place(positions, index)
  return positions.map((p, i) => others.get(i) ?? p).toSpliced(index, 0, position)
}
const ascending = (column: ReadonlyArray<number>): boolean => column.every((p, i) => i === 0 || p > column[i - 1]!)

describe("a card's place", () => {
  it("lies between its neighbours and leaves them alone", () => {
    expect(place([], 0)).toEqual({ position: 1, others: new Map() })
    expect(place([4, 8], 0)).toEqual({ position: 3, others: new Map() })
    expect(place([4, 8], 1)).toEqual({ position: 6, others: new Map() })
    expect(place([4, 8], 2)).toEqual({ position: 9, others: new Map() })
  })

  it("spreads only the nearest when the gap is used up", () => {
    const { others } = place([1, 2, 2, 3, 4, 5, 6, 7], 2)
    expect(others.size).toBeLessThanOrEqual(2)
    expect(ascending(moved([1, 2, 2, 3, 4, 5, 6, 7], 2))).toBe(true)
  })

  it("comes right where every position is the same", () => {
    for (let index = 0; index <= 5; index++) expect(ascending(moved([7, 7, 7, 7, 7], index).slice(Math.max(0, index - 1), index + 2))).toBe(true)
    expect(ascending(moved([7, 7], 1))).toBe(true)
  })

  it("keeps a thousand moves into the same gap in order", () => {
    let column: ReadonlyArray<number> = [1, 2, 3]
    for (let i = 0; i < 1_000; i++) column = moved(column, 1)
    expect(ascending(column)).toBe(true)
  })

  it("keeps any moves in order", () => {
    const seed = Date.now() % 100_000
    let state = seed
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
      return state % below
    }
    let column: ReadonlyArray<number> = [1]
    for (let i = 0; i < 300; i++) {
      column = moved(column, random(Math.min(column.length, 4) + 1))
      expect(ascending(column), `seed ${seed}, move ${i}`).toBe(true)
    }
  })
})
