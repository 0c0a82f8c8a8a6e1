/** `doctor`: what is wrong, and what to do about it. Each check stands by itself: one that cannot be made is a finding like another. */
import { Effect, Result } from "effect"
import { command } from "../command.ts"
import { openDatabase, openNats } from "../connect.ts"
import { demoRun } from "../demo-run.ts"
import type { Finding, State } from "../doctor/finding.ts"
import { problem } from "../doctor/finding.ts"
import { natsFindings } from "../doctor/nats.ts"
import { postgresFindings } from "../doctor/postgres.ts"
import { authzFindings, commandFindings, edgeFindings, processFinding, relayFindings } from "../doctor/services.ts"
import type { CommandFailed } from "../failure.ts"
import { EXIT } from "../failure.ts"
import { print, printJson, table } from "../output.ts"
import { edgeAddresses, readEdge } from "../status/edges.ts"
import { readStreams } from "../status/streams.ts"

/** Findings of a step; where it could not be made, that. */
const orProblem = (check: string, step: Effect.Effect<ReadonlyArray<Finding>, CommandFailed>): Effect.Effect<ReadonlyArray<Finding>> =>
  step.pipe(Effect.catch((error) => Effect.succeed([problem(check, error.message, error.hint)])))

export const doctor = command({
  name: "doctor",
  summary: "what is wrong and what to do about it",
  about: "Looks at Postgres, nats-server, the streams between them and the services. Changes nothing.",
  args: [],
  options: {
    edges: { value: "URLS", about: "the edges to ask, with commas; else the demo's, else TIDELINE_EDGE_PORTS on this machine" },
    quiet: { about: "only what is not well" },
  },
  examples: ["doctor", "doctor --quiet", "doctor --json --edges http://edge-a:4001"],
  failsWhen: "a problem was found (warnings alone: 0)",
  run: ({ options, json }) =>
    Effect.gen(function* () {
      const run = yield* demoRun
      const addresses = yield* edgeAddresses(options.edges, run)
      const findings: Array<Finding> = []
      const sql = yield* Effect.result(openDatabase)
      findings.push(...(yield* orProblem("postgres", Effect.flatMap(Effect.fromResult(sql), postgresFindings))))
      const nats = yield* Effect.result(openNats)
      findings.push(...(yield* orProblem("nats-server", Effect.flatMap(Effect.fromResult(nats), natsFindings))))
      const streams = yield* Effect.result(Effect.flatMap(Effect.fromResult(nats), readStreams))
      const last = Result.getOrUndefined(streams)?.changes?.last ?? 0
      if (Result.isSuccess(sql) && Result.isSuccess(streams)) findings.push(...(yield* orProblem("relay", relayFindings(sql.success, streams.success))))
      if (Result.isSuccess(nats)) findings.push(...(yield* authzFindings(nats.success, last)), ...(yield* commandFindings(nats.success)))
      findings.push(...edgeFindings(yield* Effect.forEach(addresses, readEdge, { concurrency: "unbounded" }), last))
      findings.push(...(yield* Effect.forEach(run?.processes ?? [], processFinding, { concurrency: "unbounded" })))

      const shown = options.quiet ? findings.filter((f) => f.state !== "ok") : findings
      yield* json ? printJson(shown) : print(screen(shown, findings))
      return findings.some((f) => f.state === "problem") ? EXIT.failed : EXIT.ok
    }),
})

const MARK: Readonly<Record<State, string>> = { ok: "ok", warning: "WARNING", problem: "PROBLEM" }

const screen = (shown: ReadonlyArray<Finding>, all: ReadonlyArray<Finding>): string => {
  const count = (state: State) => all.filter((f) => f.state === state).length
  const lines = shown.flatMap((f) => [[MARK[f.state], f.check, f.found], ...(f.todo === "" ? [] : [["", "", `→ ${f.todo}`]])])
  return [...(lines.length === 0 ? [] : [table(lines)]), "", `${all.length} checks: ${count("problem")} problems, ${count("warning")} warnings.`].join("\n")
}
