/** Runs a short command to its end and gives back what it printed. */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { DevError } from "./errors.ts"

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Milliseconds until it is ended; 60 s unless told. */
  readonly timeoutMs?: number
}

/** Standard output. Fails with what the command said where it ends with another code than 0. */
export const runCommand = (command: string, args: ReadonlyArray<string>, options: CommandOptions = {}): Effect.Effect<string, DevError> =>
  Effect.callback((resume) => {
    const child = execFile(
      command,
      [...args],
      { cwd: options.cwd, env: options.env ?? process.env, timeout: options.timeoutMs ?? 60_000, maxBuffer: 16 * 1024 * 1024, windowsHide: true },
      (error, stdout, stderr) =>
        resume(
          error === null
            ? Effect.succeed(stdout)
            : Effect.fail(
                new DevError({
                  message: `${command} ${args[0] ?? ""} failed: ${lastLines(stderr) || error.message}`,
                  hint: `Run it by hand to see more: ${command} ${args.join(" ")}`,
                }),
              ),
        ),
    )
    return Effect.sync(() => void child.kill())
  })

const lastLines = (text: string): string => text.trim().split("\n").slice(-4).join("\n")
