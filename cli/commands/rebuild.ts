/** `rebuild`: the log is brought into line with the tables. The relay does it; this asks, and shows how far it is. */
import { Effect } from "effect"
import { command } from "../command.ts"
import { openDatabase, query } from "../connect.ts"
import { EXIT, UsageError } from "../failure.ts"
import { print, printJson, progressDone } from "../output.ts"
import { describeSteps, followSteps } from "../rebuild-progress.ts"

export const rebuild = command({
  name: "rebuild",
  summary: "bring the log into line with the tracked tables",
  about: `For what Tideline cannot notice: rows written with triggers disabled, a partition detached, an outbox edited by hand. After a lost
stream or a restored Postgres the relay does the same by itself.
Every row of every tracked table is compared with the log: what differs or is missing there becomes a READ event, what is in the log and
in no table a DELETE. It runs beside the relay's work and goes on after a crash; Ctrl-C ends the watching only.`,
  args: [],
  options: { yes: { about: "do it: reads every tracked row, from the start if one is under way" } },
  examples: ["rebuild --yes", "rebuild --yes --json"],
  failsWhen: "no relay works, or a table could not be read",
  run: ({ options, json }) =>
    Effect.gen(function* () {
      const sql = yield* openDatabase
      const tables = yield* query(() => sql<Array<{ table_name: string; about: number | null }>>`select table_name, tide.rows_about(relation)::float8 as about from tide.tracked order by entity`)
      if (!options.yes) {
        const about = tables.reduce((sum, table) => sum + (table.about ?? 0), 0)
        return yield* new UsageError({
          message: `It would compare ${tables.length} tracked tables with the log, about ${about.toLocaleString("en")} rows.`,
          hint: "Nothing was done. With --yes it is.",
        })
      }
      yield* query(() => sql`select tide.request_rebuild('asked for by an operator')`)
      const steps = yield* followSteps(sql, null, !json).pipe(
        Effect.onInterrupt(() => Effect.sync(() => {
          progressDone()
          console.error("tideline: the relay goes on with it. npx tideline doctor says how far it is.")
        })),
      )
      yield* json ? printJson(steps.map(({ kind, what, lookedAt, written }) => ({ kind, what, rows: lookedAt, events: written })))
        : print(`The log says what the tables do: ${describeSteps(steps)}.`)
      return EXIT.ok
    }),
})
