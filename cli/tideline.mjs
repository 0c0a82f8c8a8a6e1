#!/usr/bin/env node
// The `tideline` command. Its code is TypeScript that Node 24 runs as it is; where an older Node started us, the one that
// came with the project's packages takes over.
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

if (Number(process.versions.node.split(".")[0]) >= 24) {
  // What was compiled once is kept: the second command starts in half the time.
  const { enableCompileCache } = await import("node:module")
  enableCompileCache()
  await import("./main.ts")
} else {
  const node = fileURLToPath(new URL(`../node_modules/.bin/node${process.platform === "win32" ? ".cmd" : ""}`, import.meta.url))
  if (!existsSync(node)) {
    console.error(`tideline needs Node 24 and this is ${process.versions.node}.\nRun \`npm install\` in the project: it brings its own.`)
    process.exit(1)
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit", shell: process.platform === "win32" })
  // A Ctrl-C reaches the child by itself; the parent only waits for its answer.
  process.on("SIGINT", () => {})
  process.on("SIGTERM", () => child.kill("SIGTERM"))
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)))
}
