/** This process's line to its watchdog (`watchdog.ts`): what is named here ends when this process ends, however it ends. */
import { spawn } from "node:child_process"
import type { Writable } from "node:stream"
import { fileURLToPath } from "node:url"

/** One line to the watchdog. */
export type WatchOrder =
  | { readonly do: "watch"; readonly pid: number; readonly signal: NodeJS.Signals }
  | { readonly do: "forget"; readonly pid: number }
  | { readonly do: "remove" | "keep"; readonly folder: string }

let line: Writable | null = null

const order = (what: WatchOrder): void => {
  if (line === null) {
    const dog = spawn(process.execPath, [fileURLToPath(new URL("watchdog.ts", import.meta.url))], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    })
    dog.unref()
    line = dog.stdin
    // A watchdog that was killed is no reason to end: the next start finds what is left over through run.json.
    line.on("error", () => undefined)
    ;(line as Writable & { unref?: () => void }).unref?.()
  }
  line.write(`${JSON.stringify(what)}\n`)
}

/** Should this process end without having ended `pid`: send it `signal`, and SIGKILL if that does not help. */
export const watchProcess = (pid: number, signal: NodeJS.Signals): void => order({ do: "watch", pid, signal })
export const forgetProcess = (pid: number): void => order({ do: "forget", pid })
/** Remove the folder when this process has ended. */
export const watchFolder = (folder: string): void => order({ do: "remove", folder })
export const forgetFolder = (folder: string): void => order({ do: "keep", folder })
