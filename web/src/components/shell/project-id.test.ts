import { expect, it } from "vitest"
import { projectId } from "./project-id.ts"

it("is readable, fits an address, and ends in chance", () => {
  const chance = new Uint8Array(12).fill(255)
  expect(projectId("Über die Fähre & zurück!", chance)).toBe("uber-die-fahre-zuruck-000000000000")
  expect(projectId("夜の便", chance)).toBe("project-000000000000")
  expect(projectId("x".repeat(200), chance)).toHaveLength(40 + 13)
  expect(new Set(Array.from({ length: 1_000 }, () => projectId("Same"))).size).toBe(1_000)
})
