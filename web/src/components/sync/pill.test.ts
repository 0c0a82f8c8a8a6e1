import { expect, it } from "vitest"
import { pillOf } from "./pill.ts"

const now = new Date(2026, 10, 21, 12, 0).getTime()

it("says how the connection stands", () => {
  expect(pillOf({ kind: "live", latencyMs: 4.2, lagMs: 0 }, now)).toMatchObject({ tone: "good", text: "Live", detail: " · 4 ms" })
  expect(pillOf({ kind: "live", latencyMs: null, lagMs: 0 }, now)).toMatchObject({ text: "Live", detail: "" })
  expect(pillOf({ kind: "catching-up", done: 1_204, of: 8_310 }, now)).toMatchObject({ tone: "busy", text: "Catching up", detail: " 1,204 of 8,310" })
  expect(pillOf({ kind: "catching-up", done: 0, of: 0 }, now).progress).toBeNull()
  expect(pillOf({ kind: "offline", since: now - 60_000, waiting: 3, reason: null }, now).detail).toBe(" · 3 edits waiting")
  expect(pillOf({ kind: "offline", since: now, waiting: 0, reason: null }, now).aside).toMatch(/^ since /)
  expect(pillOf({ kind: "signed-out" }, now)).toMatchObject({ tone: "bad", text: "Signed out" })
})
