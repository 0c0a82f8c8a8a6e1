/** Instances of authz and edges as processes of their own, over the servers of an edge stack. They end with the test process, however it ends. */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { freePort } from "#dev/ports.ts"
import type { EdgeStack } from "../support/edge-stack.ts"
import { SECRET } from "../support/edge-stack.ts"
import { until } from "../support/until.ts"

export interface Running {
  /** What it serves on: its clients, or who observes it. */
  readonly port: number
  readonly signal: (signal: NodeJS.Signals) => void
  /** Sends the signal, and waits until it has ended; answers its code. */
  readonly end: (signal: "SIGTERM" | "SIGKILL") => Promise<number | null>
}

const start = async (program: string, port: number, env: Record<string, string>): Promise<Running> => {
  const main = fileURLToPath(new URL(`../../services/${program}/main.ts`, import.meta.url))
  // It ends when its input does, which is ours to hold.
  const child = spawn(process.execPath, [main], { env: { PATH: process.env["PATH"] ?? "", TIDELINE_SUPERVISED: "1", ...env }, stdio: ["pipe", "ignore", "inherit"] })
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)))
  await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok, { what: `${program} is ready`, deadline: 20_000 })
  return {
    port,
    signal: (signal) => void child.kill(signal),
    end: (signal) => {
      child.kill("SIGCONT")
      child.kill(signal)
      return ended
    },
  }
}

export const startAuthz = async (stack: EdgeStack): Promise<Running> => {
  const port = await Effect.runPromise(freePort())
  return start("authz", port, { NATS_URL: stack.nats.url("authz"), TIDELINE_JWT_SECRET: SECRET, TIDELINE_OBSERVE_PORT: String(port) })
}

export const startEdge = async (stack: EdgeStack): Promise<Running> => {
  const port = await Effect.runPromise(freePort())
  return start("edge", port, { NATS_URL: stack.nats.url("edge"), TIDELINE_EDGE_PORT: String(port) })
}
