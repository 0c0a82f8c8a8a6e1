/** `audit`: who changed one entity, when, how, from what to what. Values stay the database's own text: a JavaScript number would round some. */
import { Clock, Effect } from "effect"
import { isEntityCode, isSystemEntity } from "#protocol/subject.ts"
import { command } from "../command.ts"
import { openDatabase, query } from "../connect.ts"
import { CommandFailed, EXIT, UsageError } from "../failure.ts"
import { print } from "../output.ts"
import { printable } from "../printable.ts"
import { requireInstant } from "../time.ts"

/** As Postgres tells it; JSON values as text. */
interface Change {
  readonly at: string
  readonly op: string
  readonly scope: string | null
  readonly user_id: string | null
  readonly request_id: string | null
  readonly endpoint: string | null
  readonly method: string | null
  readonly user_agent: string | null
  readonly ip: string | null
  readonly mutation_id: string | null
  readonly fields: ReadonlyArray<readonly [name: string, from: string | null, to: string | null]> | null
}

export const audit = command({
  name: "audit",
  summary: "who changed an entity, when, how, from what to what",
  about: "Reads the outbox, as far back as it goes (TIDELINE_OUTBOX_DAYS). It has no index for this, so a large one takes a while: --since spares it the days before.",
  args: [
    { name: "entity", about: "the entity's code: task; _grant, _member and _sign_out for access" },
    { name: "id", about: "its id; of a key of several columns their texts with commas between" },
  ],
  options: {
    scope: { value: "SCOPE", about: "only while it was in this scope" },
    since: { value: "WHEN", about: "from a span ago (10m, 2h, 7d) or an instant on" },
    until: { value: "WHEN", about: "until a span ago or an instant" },
  },
  examples: ["audit task 4711", "audit task 4711 --since 7d --json", "audit _member editors,user:ada"],
  failsWhen: "the outbox has no such change, or Postgres refused",
  run: ({ args, options, json }) =>
    Effect.gen(function* () {
      if (!isEntityCode(args.entity) && !isSystemEntity(args.entity)) {
        return yield* new UsageError({ message: `${args.entity} is not an entity code.`, hint: "A small letter, then small letters, digits and _; the id comes second." })
      }
      const now = yield* Clock.currentTimeMillis
      const instant = (option: "since" | "until") => {
        const text = options[option]
        return text === undefined ? Effect.succeed(option === "since" ? "-infinity" : "infinity") : Effect.map(requireInstant(option, text, now, -1), (date) => date.toISOString())
      }
      const [since, until] = [yield* instant("since"), yield* instant("until")]
      const sql = yield* openDatabase
      const found = sql`tide.changes_of(${args.entity}::text, ${args.id}::text, ${options.scope ?? null}::text, ${since}::text::timestamptz, ${until}::text::timestamptz)`
      const at = sql`to_char(c.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
      const none = Effect.gen(function* () {
        const [reach] = yield* query(() => sql<Array<{ first: string | null }>>`select to_char(min(o.at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') as first from tide.outbox o`)
        return yield* new CommandFailed({
          message: `The outbox has no change of ${args.entity} ${args.id}${options.scope === undefined ? "" : ` in ${options.scope}`}${options.since === undefined && options.until === undefined ? "" : " in that time"}.`,
          hint: reach!.first === null ? "It is empty." : `It reaches back to ${reach!.first}; what is older was dropped. Is the id right, and is the table tracked?`,
        })
      })
      if (json) {
        const [all] = yield* query(() => sql<Array<{ text: string | null }>>`
          select json_agg(json_build_object('at', ${at}, 'operation', c.op, 'scope', c.scope, 'fields', c.fields, 'user', c.user_id, 'requestId', c.request_id, 'endpoint', c.endpoint,
            'method', c.method, 'userAgent', c.user_agent, 'ip', c.ip, 'mutation', c.mutation_id, 'traceparent', c.traceparent, 'transaction', c.xid))::text as text from ${found} c`)
        yield* all!.text === null ? none : print(all!.text)
        return EXIT.ok
      }
      const changes = yield* query(() => sql<Array<Change>>`
        select ${at} as at, c.op, c.scope, c.user_id, c.request_id, c.endpoint, c.method, c.user_agent, c.ip, c.mutation_id,
          (select json_agg(json_build_array(f.key, (f.value -> 'from')::text, (f.value -> 'to')::text)) from json_each(c.fields) f) as fields
        from ${found} c`)
      if (changes.length === 0) yield* none
      yield* print(changes.map(lines).join("\n\n"))
      return EXIT.ok
    }),
})

/** Characters of a value on the screen; --json has all of it. */
const SHOWN = 100

const lines = (change: Change): string => {
  const { at, op, scope, user_id: user, request_id: request, endpoint, method, ip, user_agent: agent, mutation_id: mutation, fields } = change
  const how = [
    user === null ? "by nobody named" : `by ${user}`,
    ...(endpoint === null && method === null ? [] : [[method, endpoint].filter((part) => part !== null).join(" ")]),
    ...(request === null ? [] : [`request ${request}`]),
    ...(mutation === null ? [] : [`mutation ${mutation}`]),
    ...(ip === null ? [] : [`from ${ip}`]),
    ...(agent === null ? [] : [`(${agent})`]),
  ].map(printable)
  const width = Math.max(0, ...(fields ?? []).map(([name]) => name.length))
  const rows = (fields ?? []).map(([name, from, to]) => `    ${printable(name).padEnd(width)}  ${from === null ? short(to!) : to === null ? `was ${short(from)}` : `${short(from)} → ${short(to)}`}`)
  return [`${at}  ${op.padEnd(6)}${scope === null ? "" : `  in ${printable(scope)}`}  ${how.join("  ")}`, ...rows].join("\n")
}

const short = (value: string): string => {
  const text = printable(value)
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
}
