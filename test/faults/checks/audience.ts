import type { Findings } from "../../program/program.ts"
import type { Check } from "./check.ts"

const of = (name: string, promise: string, which: (findings: Findings) => ReadonlyArray<string>): Check => ({
  name,
  promise,
  begin: () => ({ audience }) => (audience === null ? [] : which(audience)),
})

/** Documents, by one SQL query a client. */
export const converges = of("converges", "every client's documents are what Postgres says that its user may see", ({ converges }) => converges)
/** Frames, against the log: test/program/judge.ts. */
export const leaks = of("leaks", "each change that was sent is in the log and was visible to its user as of when it was decided; nothing is missing; what was lost is told", ({ frames }) => frames)
export const writes = of("writes", "each mutation in the log is there once, and its user was allowed it as of the sequence before it", ({ writes }) => writes)
export const services = of("services", "no service ends by itself", ({ surprises }) => surprises)
