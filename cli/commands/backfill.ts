/** `backfill`: rows that were there before their table was tracked become READ events, page by page, so that writers wait for a page at most. */
import { Effect, Schema } from "effect"
import { BACKFILL_PAGE } from "#protocol/limits.ts"
import { command } from "../command.ts"
import { openDatabase, query } from "../connect.ts"
import { EXIT, UsageError } from "../failure.ts"
import { print, printJson, progress, progressDone } from "../output.ts"

type Key = ReadonlyArray<string>

const decodeKey = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Array(Schema.String)))

export const backfill = command({
  name: "backfill",
  summary: "turn the rows that are there already into events",
  about: `Pages of ${BACKFILL_PAGE.toLocaleString("en")} rows in key order, a transaction each. Ctrl-C stops after a page and says how to go on. Doing it twice does no harm.`,
  args: [{ name: "table", about: "schema.table, tracked" }],
  options: { after: { value: "KEY", about: "go on after this key, as a stopped backfill gave it" } },
  examples: ["backfill app.task"],
  failsWhen: "the table is not tracked, or Postgres refused",
  run: ({ args, options, json }) =>
    Effect.gen(function* () {
      let after: Key | null = options.after === undefined ? null : yield* decodeKey(options.after).pipe(
        Effect.mapError(() => new UsageError({ message: `--after ${options.after} is not a key.`, hint: `A JSON array of the key's texts, for example '["4711"]'.` })),
      )
      const sql = yield* openDatabase
      const [about] = yield* query(() => sql<Array<{ rows: number }>>`select reltuples::float8 as rows from pg_class where oid = ${args.table}::text::regclass`)
      const of = about === undefined || about.rows < 0 ? "" : ` of about ${Math.round(about.rows).toLocaleString("en")}`
      let total = 0
      const pages = Effect.gen(function* () {
        do {
          const [page] = yield* Effect.uninterruptible(query(() => sql<Array<{ rows: number; last_key: Key | null }>>`
            select rows, last_key from tide.backfill_page(${args.table}::text::regclass, ${after as string[] | null}::text[], ${BACKFILL_PAGE}::int)`))
          total += page!.rows
          after = page!.last_key
          if (!json) progress(`${total.toLocaleString("en")} rows${of}`)
        } while (after !== null)
      })
      yield* pages.pipe(
        Effect.onInterrupt(() => Effect.sync(() => {
          progressDone()
          console.error(`tideline: stopped after ${total.toLocaleString("en")} rows. Go on: npx tideline backfill ${args.table}${after === null ? "" : ` --after '${JSON.stringify(after)}'`}`)
        })),
      )
      if (!json) progressDone()
      yield* json ? printJson({ table: args.table, rows: total }) : print(`${total.toLocaleString("en")} rows of ${args.table} are events now.`)
      return EXIT.ok
    }),
})
