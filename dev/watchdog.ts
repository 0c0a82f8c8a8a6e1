/**
 * The servers and services that a supervisor or a test process starts live in process groups of their own, so that Ctrl-C
 * reaches their parent only, which then stops them in order. So that a parent that dies without doing so (kill -9, a crash) leaves
 * nothing behind, it first starts this small process, tells it over a pipe what to look after, and when the pipe ends, for
 * whatever reason, the watchdog stops what is left and removes the folders it was asked to.
 *
 * Runs as `node dev/watchdog.ts`, started by `watch.ts`. One JSON object a line: see `WatchOrder`.
 */
import { rmSync } from "node:fs"
import { createInterface } from "node:readline"
import { setTimeout as after } from "node:timers/promises"
import type { WatchOrder } from "./watch.ts"

/** Milliseconds from the polite signal to SIGKILL. */
const GRACE_MS = 8_000

const pids = new Map<number, NodeJS.Signals>()
const folders = new Set<string>()

/** Sends the signal; false where there is no such process any more. */
const send = (pid: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as WatchOrder
  switch (order.do) {
    case "watch":
      pids.set(order.pid, order.signal)
      break
    case "forget":
      pids.delete(order.pid)
      break
    case "remove":
      folders.add(order.folder)
      break
    case "keep":
      folders.delete(order.folder)
  }
}

// The latest started goes first: services before the servers they use.
const left = [...pids].reverse()
for (const [pid, signal] of left) send(pid, signal)
const deadline = Date.now() + GRACE_MS
while (left.some(([pid]) => send(pid, 0)) && Date.now() < deadline) await after(50)
for (const [pid] of left) send(pid, "SIGKILL")
for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
