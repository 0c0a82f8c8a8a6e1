/** `track` and `untrack`: which tables become events. */
import { Effect } from "effect"
import { isEntityCode } from "#protocol/subject.ts"
import { command } from "../command.ts"
import { openDatabase, query } from "../connect.ts"
import { EXIT, UsageError } from "../failure.ts"
import { print, printJson } from "../output.ts"

export const track = command({
  name: "track",
  summary: "turn every change of a table into events from now on",
  about: "The table needs a primary key. Rows that are there already become events with `backfill`. Tracked once more it is as the options say: give all of them.",
  args: [{ name: "table", about: "schema.table" }],
  options: {
    entity: { value: "CODE", about: "what an event calls a row of it: a small letter, then small letters, digits, _", required: true },
    scope: { value: "COLUMN", about: "the column that says where a row belongs (tenant, project); none: everywhere" },
    founders: { value: "WHO", about: "where each row of the table is a scope: user:<id>, role:<name> or everyone who may create rows without a grant" },
    "no-before": { about: "keep no image of the row before a change in the outbox: smaller, but the audit shows less" },
  },
  examples: ["track app.task --entity task --scope project_id", "track app.project --entity project --scope id --founders everyone"],
  failsWhen: "Postgres refused",
  run: ({ args, options, json }) =>
    Effect.gen(function* () {
      if (!isEntityCode(options.entity)) {
        return yield* new UsageError({ message: `--entity ${options.entity} is not an entity code.`, hint: "A small letter, then small letters, digits and _: task, order_line." })
      }
      const sql = yield* openDatabase
      const scope = options.scope ?? null
      const founders = options.founders ?? null
      const beforeImage = !options["no-before"]
      yield* query(() => sql`select tide.track(${args.table}::text::regclass, entity => ${options.entity}, scope => ${scope}, before_image => ${beforeImage}, founders => ${founders})`)
      yield* json
        ? printJson({ table: args.table, entity: options.entity, scope, beforeImage, founders })
        : print(`${args.table} is tracked as ${options.entity}. Rows that are there already: npx tideline backfill ${args.table}`)
      return EXIT.ok
    }),
})

export const untrack = command({
  name: "untrack",
  summary: "stop turning a table's changes into events",
  about: "Its rows leave the log, a DELETE each, and so every client. The table itself stays as it is.",
  args: [{ name: "table", about: "schema.table, or the entity code of a table that is gone" }],
  options: {},
  examples: ["untrack app.task", "untrack task"],
  failsWhen: "it is not tracked, or Postgres refused",
  run: ({ args, json }) =>
    Effect.gen(function* () {
      const sql = yield* openDatabase
      const [byCode] = yield* query(() => sql`select from tide.tracked where entity = ${args.table}`)
      yield* query(() => byCode === undefined
        ? sql`select tide.untrack(${args.table}::text::regclass)`
        : sql`select tide.untrack_entity(${args.table})`)
      yield* json ? printJson({ table: args.table, tracked: false }) : print(`${args.table} is no longer tracked.`)
      return EXIT.ok
    }),
})
