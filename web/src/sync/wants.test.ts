/** What several want, as one subscription a type. */
import { expect, test } from "vitest"
import type { Wanted } from "./replica.ts"
import { createWants, union } from "./wants.ts"

test("scopes add up, and so do ids; different kinds of part come to the whole type", () => {
  const all: ReadonlyArray<readonly [ReadonlyArray<Wanted>, ReadonlyArray<Wanted>]> = [
    [[{ entityCode: "b" }, { entityCode: "a" }], [{ entityCode: "a" }, { entityCode: "b" }]],
    [[{ entityCode: "a", scopes: ["2"] }, { entityCode: "a", scopes: ["1", "2"] }], [{ entityCode: "a", scopes: ["1", "2"] }]],
    [[{ entityCode: "a", entityIds: ["2"] }, { entityCode: "a", entityIds: ["1"] }], [{ entityCode: "a", entityIds: ["1", "2"] }]],
    [[{ entityCode: "a", entityIds: ["2"] }, { entityCode: "a", scopes: ["1"] }], [{ entityCode: "a" }]],
    [[{ entityCode: "a", scopes: ["1"] }, { entityCode: "a" }], [{ entityCode: "a" }]],
  ]
  for (const [wanted, asked] of all) expect(union(wanted)).toEqual(asked)
})

test("only what changes the whole is told; what two want stays until both let go", () => {
  const told: Array<ReadonlyArray<Wanted>> = []
  const wants = createWants([{ entityCode: "task" }], (asked) => told.push(asked))
  const first = wants.add([{ entityCode: "file" }])
  const second = wants.add([{ entityCode: "file" }])
  first()
  first()
  expect(told).toEqual([[{ entityCode: "file" }, { entityCode: "task" }]])
  second()
  expect(told.at(-1)).toEqual([{ entityCode: "task" }])
})
