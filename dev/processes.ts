/** Other processes of this machine, by number: is it there, what is it, end it. Only ever used on what was verified to be ours. */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { DevError } from "./errors.ts"

/** Whether the process exists and has not ended; one that ended and was not collected by its parent counts as ended. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
  return !isZombie(pid)
}

const isZombie = (pid: number): boolean => {
  if (process.platform !== "linux") return false
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")
  } catch {
    return true
  }
}

/** When the process began, as a text that only it has: two processes with one number differ here. Null where that is not known. */
export const beganAt = (pid: number): string | null => {
  try {
    if (process.platform === "linux") {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
      // Field 22, in ticks since this machine began: proc(5). The machine's own beginning tells two boots apart.
      const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]
      return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${ticks}`
    }
    if (process.platform === "win32") return null
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim()
  } catch {
    return null
  }
}

/** The process's command with its arguments, or "" where there is none. */
export const commandLine = (pid: number): string => {
  try {
    if (process.platform === "linux") return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim()
    if (process.platform === "win32") return execFileSync("wmic", ["process", "where", `ProcessId=${pid}`, "get", "CommandLine"], { encoding: "utf8" })
    return execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).trim()
  } catch {
    return ""
  }
}

/** Ends a process that is not our child: `signal`, and SIGKILL after `graceMs`. Waits until it is gone. */
export const endProcess = (pid: number, signal: NodeJS.Signals, graceMs: number): Effect.Effect<void, DevError> =>
  Effect.gen(function* () {
    const send = (what: NodeJS.Signals) =>
      Effect.try({
        try: () => void process.kill(pid, what),
        catch: (error) => error as NodeJS.ErrnoException,
      }).pipe(
        Effect.catch((error) =>
          error.code === "ESRCH"
            ? Effect.void
            : Effect.fail(new DevError({ message: `Process ${pid} is left over from an earlier start and cannot be ended: ${error.code}.`, hint: `End it by hand: kill ${pid}` })),
        ),
      )
    const gone = (ms: number) =>
      Effect.gen(function* () {
        const deadline = Date.now() + ms
        while (isAlive(pid) && Date.now() < deadline) yield* Effect.sleep(30)
        return !isAlive(pid)
      })
    yield* send(signal)
    if (yield* gone(graceMs)) return
    yield* send("SIGKILL")
    yield* gone(5_000)
  })
