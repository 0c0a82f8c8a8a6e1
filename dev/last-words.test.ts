import { expect, it } from "vitest"
import { lastWords } from "./last-words.ts"

it("finds the error in what Node prints", () => {
  const printed = ["node:internal/modules/run_main:107", "    triggerUncaughtException(", "    ^", "", "Error [ERR_MODULE_NOT_FOUND]: Cannot find module 'x'", "    at finalizeResolution (node:internal)", "}", "", "Node.js v24.21.0"]
  expect(lastWords(printed, false)).toBe("Error [ERR_MODULE_NOT_FOUND]: Cannot find module 'x'")
})

it("takes a setting's line, a service's message, a server's complaint", () => {
  expect(lastWords(["TIDELINE_EDGE_PORT: a port"], false)).toBe("TIDELINE_EDGE_PORT: a port")
  expect(lastWords(['{"level":"info","message":"serving"}', '{"level":"error","message":"relay ends: no stream"}'], false)).toBe("relay ends: no stream")
  expect(lastWords(["LOG:  starting", "2026-01-01 UTC [7] FATAL:  data directory is locked", "LOG:  database system is shut down"], false)).toContain("FATAL:  data directory is locked")
  expect(lastWords([], false)).toBeNull()
})

it("has no reason for a process that was killed, unless it died of its own error", () => {
  expect(lastWords(['{"level":"info","message":"awake"}'], true)).toBeNull()
  expect(lastWords(["FATAL ERROR: Reached heap limit Allocation failed", "1: 0xb7a940 node::Abort()"], true)).toContain("heap limit")
})
