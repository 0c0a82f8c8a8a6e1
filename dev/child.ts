/**
 * One process of ours: started in a group of its own, watched (`watch.ts`), its output read line by line, stopped politely
 * and then by force when its scope closes. It is not restarted here: see `supervise.ts`.
 */
import { Deferred, Effect, Exit } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { DevError, reasonOf } from "./errors.ts"
import { forgetProcess, watchProcess } from "./watch.ts"

export interface ChildSpec {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd?: string
  /** The whole environment: nothing is inherited beyond it. */
  readonly env: Readonly<Record<string, string>>
  /** Run as this user; only root may. */
  readonly as?: { readonly uid: number; readonly gid: number }
  /** Gives the child an open standard input, which ends when this process ends: services stop then (observe/run.ts). */
  readonly leash?: boolean
  /** Handed to the child as file descriptors 3, 4, … */
  readonly descriptors?: ReadonlyArray<number>
  /** The signal that asks it to end, and milliseconds until SIGKILL follows. */
  readonly stopSignal: NodeJS.Signals
  readonly graceMs: number
  /** Every line it prints, as it comes. */
  readonly onLine?: (line: string) => void
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Child {
  readonly name: string
  readonly pid: number
  /** Completes when the process is gone and its output has been read. */
  readonly ended: Effect.Effect<Ended>
  /** Succeeds with the first line, past or future, that `test` accepts. Fails when the process ends before. */
  readonly line: (test: (line: string) => boolean) => Effect.Effect<string, DevError>
  /** The last lines it printed, for an error message. */
  readonly lastLines: () => ReadonlyArray<string>
  readonly signal: (signal: NodeJS.Signals) => void
}

/** Milliseconds after a process's end in which the rest of its output is read. */
const OUTPUT_MS = 500
/** Lines remembered of a child's output. */
const REMEMBERED = 60

/** Starts the process; closing the scope stops it and waits until it is gone. */
export const startChild = (spec: ChildSpec): Effect.Effect<Child, DevError, Scope.Scope> =>
  Effect.acquireRelease(launch(spec), (child) => stopChild(child, spec.stopSignal, spec.graceMs))

/** Asks the child to end, forces it after `graceMs`, and waits until it is gone. */
export const stopChild = (child: Child, signal: NodeJS.Signals, graceMs: number): Effect.Effect<Ended> =>
  Effect.suspend(() => {
    child.signal(signal)
    return child.ended.pipe(
      Effect.timeout(graceMs),
      Effect.catch(() => {
        child.signal("SIGKILL")
        return child.ended
      }),
    )
  })

export const describeEnd = (ended: Ended): string =>
  ended.signal === null ? `ended with code ${ended.code ?? "unknown"}` : `was ended by ${ended.signal}`

const launch = (spec: ChildSpec): Effect.Effect<Child, DevError> =>
  Effect.callback((resume) => {
    const process_ = spawn(spec.command, [...spec.args], {
      ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
      ...spec.as,
      env: { ...spec.env },
      stdio: [spec.leash === true ? "pipe" : "ignore", "pipe", "pipe", ...(spec.descriptors ?? [])],
      detached: true,
      windowsHide: true,
    })
    process_.once("error", (error) =>
      resume(Effect.fail(new DevError({ message: `${spec.name} could not be started: ${reasonOf(error)}.`, hint: `Is ${spec.command} there, and may this user run it?` }))),
    )
    process_.stdin?.on("error", () => undefined)
    const pid = process_.pid
    if (pid === undefined) return
    watchProcess(pid, spec.stopSignal)

    const lines: Array<string> = []
    const waiting = new Set<{ test: (line: string) => boolean; found: Deferred.Deferred<string, DevError> }>()
    const ended = Deferred.makeUnsafe<Ended>()
    let over: Ended | null = null

    const read = (stream: NodeJS.ReadableStream): void => {
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line)
        if (lines.length > REMEMBERED) lines.shift()
        spec.onLine?.(line)
        for (const wait of waiting) if (wait.test(line)) Deferred.doneUnsafe(wait.found, Exit.succeed(line))
      })
    }
    read(process_.stdout!)
    read(process_.stderr!)

    const endedEarly = (end: Ended): DevError =>
      new DevError({ message: `${spec.name} ${describeEnd(end)}.`, hint: lines.slice(-8).join("\n") || "It printed nothing." })
    process_.once("exit", (code, signal) => {
      forgetProcess(pid)
      const close = (): void => finish({ code, signal })
      process_.once("close", close)
      // A grandchild may hold the output open: what it still says is not waited for.
      setTimeout(close, OUTPUT_MS).unref()
    })
    const finish = (end: Ended): void => {
      if (over !== null) return
      over = end
      for (const wait of waiting) Deferred.doneUnsafe(wait.found, Exit.fail(endedEarly(end)))
      Deferred.doneUnsafe(ended, Exit.succeed(end))
    }

    resume(
      Effect.succeed<Child>({
        name: spec.name,
        pid,
        ended: Deferred.await(ended),
        line: (test) =>
          Effect.suspend(() => {
            const past = lines.find(test)
            if (past !== undefined) return Effect.succeed(past)
            if (over !== null) return Effect.fail(endedEarly(over))
            const wait = { test, found: Deferred.makeUnsafe<string, DevError>() }
            waiting.add(wait)
            return Deferred.await(wait.found).pipe(Effect.ensuring(Effect.sync(() => waiting.delete(wait))))
          }),
        lastLines: () => lines,
        signal: (signal) => {
          if (over === null) process_.kill(signal)
        },
      }),
    )
  })
