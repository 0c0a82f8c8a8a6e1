import { expect, it } from "vitest"
import { asked } from "./ask.ts"

it("takes a seed, minutes, kinds and a file", () => {
  expect(asked(["--seed", "7", "--minutes", "0.5", "--only", "cut, hang", "--json", "x"], 3)).toEqual({ seed: 7, minutes: 0.5, only: ["cut", "hang"], json: "x" })
  expect(asked([], 3)).toEqual({ seed: 3, minutes: 5, only: undefined, json: undefined })
  expect(asked(["--help"], 3)).toBe("help")
})

it.each([
  [["--seed", "x"], "--seed x"],
  [["--seed", "4294967296"], "--seed 4294967296"],
  [["--minutes", "0"], "--minutes 0"],
  [["--minutes", "-1"], "--minutes"],
  [["--only", "flood"], "\"flood\""],
  [["--only", ","], "--only"],
  [["--loud"], "--loud"],
  [["word"], "word"],
])("says what is wrong with %j", (words, named) => {
  expect(asked(words, 3)).toEqual({ problem: expect.stringContaining(named) })
})
