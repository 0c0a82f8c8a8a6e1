import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "vitest"
import { logFile } from "./log-file.ts"

it("keeps at most two files of ten megabytes", () => {
  const folder = mkdtempSync(join(tmpdir(), "tideline-log-"))
  try {
    const write = logFile(folder, "relay", (why) => expect.unreachable(why))
    const line = "x".repeat(999_999)
    for (let at = 0; at < 25; at++) write(line)
    write("the last one")
    expect(readFileSync(join(folder, "relay.log"), "utf8").endsWith("the last one\n")).toBe(true)
    expect(statSync(join(folder, "relay.log")).size).toBeLessThanOrEqual(10 * 1024 * 1024)
    expect(statSync(join(folder, "relay.log.1")).size).toBeLessThanOrEqual(10 * 1024 * 1024)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it("says once that lines are lost, and goes on", () => {
  const folder = mkdtempSync(join(tmpdir(), "tideline-log-"))
  const said: Array<string> = []
  const write = logFile(folder, "relay", (why) => said.push(why))
  rmSync(folder, { recursive: true })
  write("one")
  write("two")
  expect(said).toHaveLength(1)
})
