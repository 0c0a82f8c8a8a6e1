import { expect, it } from "vitest"
import { hueOf, hueOfText } from "./hue.ts"

it("finds the OKLCH hue of a colour", () => {
  expect(hueOf("#ff0000")).toBe(29)
  expect(hueOf("#00FF00")).toBe(142)
  expect(hueOf("#0000ff")).toBe(264)
})
it("gives other text a hue of its own, always the same", () => {
  expect(hueOf("teal")).toBe(hueOfText("teal"))
  expect(new Set(["bug", "design", "docs", "sync", "infra"].map(hueOfText)).size).toBe(5)
})
