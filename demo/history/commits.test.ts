import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { areaOf, CHANGES, COMMITS, readHistory } from "./commits.ts"

it("a file's area is the first two segments of its path, or the first", () => {
  expect(areaOf("packages/core/src/index.ts")).toBe("packages/core")
  expect(areaOf("scripts/build.js")).toBe("scripts/build.js")
  expect(areaOf("package.json")).toBe("package.json")
})

it.effect("the history is whole, and gives every listed change an event of its own", () =>
  Effect.gen(function* () {
    const history = yield* readHistory
    expect(history.length).toBe(COMMITS)
    expect(history.reduce((n, commit) => n + commit.files.length, 0)).toBe(CHANGES)
    const there = new Set<string>()
    let insertedByUpdate = 0
    for (const { commit, files } of history) {
      expect(new Set(files.map(([, path]) => path)).size, `${commit} lists a path twice`).toBe(files.length)
      for (const [op, path] of files) {
        if (op === "c") expect(there.has(path), `${commit} creates ${path} again`).toBe(false)
        if (op === "d") expect(there.has(path), `${commit} deletes ${path}, which is absent`).toBe(true)
        if (op === "u" && !there.has(path)) insertedByUpdate++
        if (op === "d") there.delete(path)
        else there.add(path)
      }
    }
    expect(insertedByUpdate).toBe(6)
    expect(there.size).toBe(709)
  }),
)
