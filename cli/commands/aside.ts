/** `aside`: changes that fit no message, and how to bring them back (services/outbox-relay/set-aside.ts). */
import { Effect } from "effect"
import { command } from "../command.ts"
import { openDatabase, query } from "../connect.ts"
import { EXIT } from "../failure.ts"
import { print, printJson, table } from "../output.ts"
import { readAside } from "../status/aside.ts"

export const aside = command({
  name: "aside",
  summary: "changes that fit no message and were set aside",
  about: "Their addresses are held: later changes of them are set aside as well, until `aside retry` publishes what is there now.",
  args: [],
  options: {},
  examples: ["aside", "aside --json"],
  failsWhen: "Postgres refused",
  run: ({ json }) =>
    Effect.gen(function* () {
      const found = yield* readAside(yield* openDatabase)
      yield* json ? printJson(found)
        : print(found.length === 0 ? "Nothing is set aside." : table([
          ["entity", "id", "scope", "changes", "since", "why"],
          ...found.map((f) => [f.entity, f.id, f.scope ?? "", f.changes, f.since, f.reason]),
        ]))
      return EXIT.ok
    }),
})

export const asideRetry = command({
  name: "aside retry",
  summary: "publish what is at an address now, and take up its changes again",
  about: "Writes the row's present state into the outbox, or its deletion where it is gone. Where that fits no message either, it is set aside again.",
  args: [{ name: "entity", about: "the entity code" }, { name: "id", about: "the entity's id" }],
  options: { scope: { value: "SCOPE", about: "its scope; left out where its table has none" } },
  examples: ["aside retry task 4711 --scope p1"],
  failsWhen: "nothing is set aside there, or Postgres refused",
  run: ({ args, options, json }) =>
    Effect.gen(function* () {
      const sql = yield* openDatabase
      const scope = options.scope ?? null
      const [freed] = yield* query(() => sql<Array<{ op: string; outbox_id: string }>>`select op, outbox_id::text from tide.free_aside(${args.entity}, ${args.id}, ${scope})`)
      yield* json
        ? printJson({ entity: args.entity, id: args.id, scope, operation: freed!.op, outboxId: Number(freed!.outbox_id) })
        : print(`${args.entity} ${args.id} ${freed!.op === "DELETE" ? "is gone: its deletion" : "as it is now"} goes into the log, as outbox row ${freed!.outbox_id}. If it is still too large: npx tideline aside`)
      return EXIT.ok
    }),
})
