import { expect, it } from "vitest"
import { neighbour } from "./navigate.ts"

const columns = [["a", "b", "c"], [], ["d"], ["e", "f"]]

it("steps within a column and stops at its ends", () => {
  expect(neighbour(columns, "a", "ArrowDown")).toBe("b")
  expect(neighbour(columns, "c", "ArrowDown")).toBeNull()
  expect(neighbour(columns, "a", "ArrowUp")).toBeNull()
})
it("steps over empty columns, to the nearest row", () => {
  expect(neighbour(columns, "c", "ArrowRight")).toBe("d")
  expect(neighbour(columns, "d", "ArrowLeft")).toBe("a")
  expect(neighbour(columns, "d", "ArrowRight")).toBe("e")
  expect(neighbour(columns, "e", "ArrowRight")).toBeNull()
})
it("starts at the first card there is", () => {
  expect(neighbour(columns, null, "ArrowUp")).toBe("a")
  expect(neighbour([[], ["x"]], "gone", "ArrowLeft")).toBe("x")
  expect(neighbour([[], []], null, "ArrowDown")).toBeNull()
})
