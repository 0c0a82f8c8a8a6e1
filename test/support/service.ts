/** One of our services as a process of its own, for tests that kill it, hold it still and ask it how it is. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { freePort } from "#dev/ports.ts"
import { forgetProcess, watchProcess } from "#dev/watch.ts"

export interface ServiceProcess {
  readonly pid: number
  /** Resolves with the exit code (null: a signal) when it has ended, however it did. */
  readonly ended: Promise<number | null>
  /** Sends the signal and, unless it only pauses, waits for the end; answers the exit code. */
  readonly end: (signal: "SIGTERM" | "SIGKILL") => Promise<number | null>
  readonly signal: (signal: "SIGSTOP" | "SIGCONT") => void
  /** The reasons of /readyz; null while it does not answer. */
  readonly reasons: () => Promise<ReadonlyArray<string> | null>
  readonly metric: (name: string) => Promise<number | null>
  /** Everything it logged. */
  readonly log: () => string
}

/** `entry` from the root of the project. Runs in a process group of its own; it ends with this process at the latest, even where it is stopped by a signal. */
export const startService = async (entry: string, settings: Readonly<Record<string, string>>): Promise<ServiceProcess> => {
  const port = await Effect.runPromise(freePort())
  const child = spawn(process.execPath, [fileURLToPath(new URL(`../../${entry}`, import.meta.url))], {
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
    env: { ...process.env, TIDELINE_OBSERVE_PORT: String(port), TIDELINE_SUPERVISED: "1", ...settings },
  })
  watchProcess(child.pid!, "SIGTERM")
  let log = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (log += chunk.toString()))
  const ended = once(child, "exit").then(([code]) => {
    forgetProcess(child.pid!)
    return code as number | null
  })
  const ask = async (path: string): Promise<string | null> => fetch(`http://127.0.0.1:${port}${path}`).then((r) => r.text(), () => null)
  return {
    pid: child.pid!,
    ended,
    end: async (signal) => {
      child.kill("SIGCONT")
      child.kill(signal)
      return ended
    },
    signal: (signal) => child.kill(signal),
    reasons: async () => {
      const answer = await ask("/readyz")
      return answer === null ? null : (JSON.parse(answer) as { reasons: ReadonlyArray<string> }).reasons
    },
    metric: async (name) => {
      const line = (await ask("/metrics"))?.split("\n").find((text) => text.startsWith(`${name} `) || text.startsWith(`${name}{`))
      return line === undefined ? null : Number(line.slice(line.lastIndexOf(" ")))
    },
    log: () => log,
  }
}
