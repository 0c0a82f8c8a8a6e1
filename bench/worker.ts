/** A part of a benchmark in a process of its own, so that it does not share an event loop with what is measured. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { BenchFailed } from "./benchmark.ts"

type Jobs = Readonly<Record<string, (input: never) => unknown>>
type Input<F> = F extends (input: infer I) => unknown ? I : never
type Output<F> = F extends (input: never) => infer O ? Awaited<O> : never

export interface Worker<J extends Jobs> {
  readonly pid: number
  /** Runs a job over there and gives what it gave. */
  readonly ask: <K extends keyof J & string>(job: K, input: Input<J[K]>) => Effect.Effect<Output<J[K]>, BenchFailed>
}

interface Question { readonly id: number; readonly job: string; readonly input: unknown }
interface Answer { readonly id: number; readonly value?: unknown; readonly error?: string }

/** Starts `file`, which calls `serve` with jobs of this type. It ends with the scope. */
export const startWorker = <J extends Jobs>(file: URL): Effect.Effect<Worker<J>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => fork(fileURLToPath(file), [], { serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"] })),
      (child) =>
        Effect.callback<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGKILL")
        }),
    ),
    (child) => {
      const waiting = new Map<number, (answer: Answer) => void>()
      let ids = 0
      child.on("message", (answer: Answer) => waiting.get(answer.id)?.(answer))
      child.once("exit", (code, signal) => {
        for (const [id, done] of waiting) done({ id, error: `the process ended (${signal ?? code})` })
      })
      return {
        pid: child.pid!,
        ask: (job, input) =>
          Effect.callback((resume) => {
            const id = ++ids
            waiting.set(id, (answer) => {
              waiting.delete(id)
              resume(answer.error === undefined
                ? Effect.succeed(answer.value as never)
                : Effect.fail(new BenchFailed({ message: `${job}: ${answer.error}`, hint: "See what it printed above." })))
            })
            const question: Question = { id, job, input }
            child.send(question)
          }),
      }
    },
  )

/** In the worker: answers questions with these jobs. */
export const serve = (jobs: Jobs): void => {
  process.on("message", (question: Question) => {
    const answer = (part: Omit<Answer, "id">) => process.send?.({ id: question.id, ...part })
    void (async () => jobs[question.job]!(question.input as never))().then(
      (value) => answer({ value }),
      (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
    )
  })
}
