/** `backfill`: rows that were there before their table was tracked become READ events. The relay does it; this asks, and shows how far it is. */
import { Effect } from "effect"
import { BACKFILL_RATE } from "#protocol/limits.ts"
import { command } from "../command.ts"
import { openDatabase, query } from "../connect.ts"
import { EXIT, UsageError } from "../failure.ts"
import { print, printJson, progressDone } from "../output.ts"
import { followSteps } from "../rebuild-progress.ts"

export const backfill = command({
  name: "backfill",
  summary: "turn the rows that are there already into events",
  about: `The relay does it page by page beside its work, and writers wait for a page at most. What the log has already costs no event, so doing it twice does no harm.
Ctrl-C ends the watching, not the backfill: it goes on by itself, after a crash too. The same command shows it again.`,
  args: [{ name: "table", about: "schema.table, tracked" }],
  options: { rate: { value: "ROWS", about: `rows a second at most; ${BACKFILL_RATE.toLocaleString("en")} unless told` } },
  examples: ["backfill app.task", "backfill app.task --rate 500"],
  failsWhen: "the table is not tracked, no relay works, or Postgres refused",
  run: ({ args, options, json }) =>
    Effect.gen(function* () {
      const rate = options.rate === undefined ? null : Number(options.rate)
      if (rate !== null && !(Number.isInteger(rate) && rate > 0 && rate <= 1_000_000)) {
        return yield* new UsageError({ message: `--rate ${options.rate} is not a number of rows.`, hint: "Rows a second, a whole number from 1: --rate 500." })
      }
      const sql = yield* openDatabase
      const [asked] = yield* query(() => sql<Array<{ place: string }>>`select tide.request_backfill(${args.table}::text::regclass, ${rate}::int) as place`)
      const steps = yield* followSteps(sql, asked!.place, !json).pipe(
        Effect.onInterrupt(() => Effect.sync(() => {
          progressDone()
          console.error(`tideline: the relay goes on with it. To see how far it is: npx tideline backfill ${args.table}`)
        })),
      )
      const { lookedAt: rows, written: events } = steps[0] ?? { lookedAt: 0, written: 0 }
      yield* json ? printJson({ table: args.table, rows, events })
        : print(`All ${rows.toLocaleString("en")} rows of ${args.table} are in the log; ${events.toLocaleString("en")} were not, or not as they are, and are events now.`)
      return EXIT.ok
    }),
})
