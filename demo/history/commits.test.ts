import { Effect } from "effect"
import { expect, it } from "vitest"
import { areaOf, CHANGES, COMMITS, readHistory } from "./commits.ts"

it("a file's area is the first two segments of its path, or the first", () => {
  expect(areaOf("packages/core/src/index.ts")).toBe("packages/core")
  expect(areaOf("scripts/build.js")).toBe("scripts/build.js")
  expect(areaOf("package.json")).toBe("package.json")
})

it("the history is whole, and gives every listed change an event of its own", async () => {
  const history = await Effect.runPromise(readHistory)
  expect(history.length).toBe(COMMITS)
  expect(history.reduce((n, commit) => n + commit.files.length, 0)).toBe(CHANGES)
  const there = new Set<string>()
  const found = { createdAgain: 0, updatedAbsent: 0, deletedAbsent: 0 }
  for (const { commit, files } of history) {
    expect(new Set(files.map(([, path]) => path)).size, `${commit} lists a path twice`).toBe(files.length)
    for (const [op, path] of files) {
      if (op === "c" && there.has(path)) found.createdAgain++
      if (op === "u" && !there.has(path)) found.updatedAbsent++
      if (op === "d" && !there.has(path)) found.deletedAbsent++
      if (op === "d") there.delete(path)
      else there.add(path)
    }
  }
  expect(found).toEqual({ createdAgain: 0, updatedAbsent: 6, deletedAbsent: 0 })
  expect(there.size).toBe(709)
})
