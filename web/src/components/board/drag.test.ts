import { expect, it } from "vitest"
import { dropIndex } from "./drag.ts"

it("drops before the first card whose middle is not above the dragged card's edge", () => {
  const sizes = [80, 80, 40]
  expect(dropIndex(sizes, 8, -30)).toBe(0)
  expect(dropIndex(sizes, 8, 40)).toBe(0)
  expect(dropIndex(sizes, 8, 41)).toBe(1)
  expect(dropIndex(sizes, 8, 129)).toBe(2)
  expect(dropIndex(sizes, 8, 197)).toBe(3)
  expect(dropIndex([], 8, 500)).toBe(0)
})
it("is at rest where the card was taken from", () => {
  // The dragged card stood second of four like ones: its edge is at 88, and one and a half cards lie above that.
  expect(dropIndex([80, 80, 80], 8, 88)).toBe(1)
  expect(dropIndex([80, 80, 80], 8, 88 + 39)).toBe(1)
  expect(dropIndex([80, 80, 80], 8, 88 - 39)).toBe(1)
})
