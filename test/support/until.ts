/** Waits for what no signal announces: asks until the answer is yes, or the deadline has passed. */
import { setTimeout as after } from "node:timers/promises"

export interface UntilOptions {
  /** Milliseconds from now; 10 s unless told. */
  readonly deadline?: number
  /** What is waited for, for the failure's message. */
  readonly what: string
  /** Milliseconds between two questions; 10 unless told. */
  readonly every?: number
}

/** The first answer that is neither false, null nor undefined. Rejects after the deadline, with the last error if the question threw. */
export const until = async <A>(ask: () => A | Promise<A>, options: UntilOptions): Promise<NonNullable<Exclude<A, false>>> => {
  const deadline = Date.now() + (options.deadline ?? 10_000)
  let thrown: unknown
  for (;;) {
    try {
      thrown = undefined
      const answer = await ask()
      if (answer !== false && answer !== null && answer !== undefined) return answer as NonNullable<Exclude<A, false>>
    } catch (error) {
      thrown = error
    }
    if (Date.now() >= deadline) {
      throw new Error(`Not within ${options.deadline ?? 10_000} ms: ${options.what}`, thrown === undefined ? {} : { cause: thrown })
    }
    await after(options.every ?? 10)
  }
}
