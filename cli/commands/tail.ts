/** `tail`: the events of CHANGES as they come, or from a place in the past. */
import { DeliverPolicy, jetstream } from "@nats-io/jetstream"
import { Clock, Deferred, Effect } from "effect"
import type { Nats } from "#nats/connection.ts"
import type { FollowEvent, Head, LogMessage } from "#nats/log.ts"
import { LogError } from "#nats/log.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import { CHANGES } from "#nats/streams.ts"
import type { Pattern } from "#protocol/grant.ts"
import { isEntityCode, isSystemEntity } from "#protocol/subject.ts"
import { command } from "../command.ts"
import { openNats } from "../connect.ts"
import { CommandFailed, EXIT, UsageError } from "../failure.ts"
import { askNats } from "../status/streams.ts"
import { requireInstant } from "../time.ts"

export const tail = command({
  name: "tail",
  summary: "follow events",
  about: "Shows what is published from now on, or from --from-seq or --since on. Ctrl-C ends it. With --json each event is one line of JSON.",
  args: [],
  options: {
    entity: { value: "CODE", about: "only of this entity type (_grant, _member, _sign_out, _entity, _epoch, _aside are the log's own)" },
    scope: { value: "SCOPE", about: "only in this scope" },
    id: { value: "ID", about: "only this entity" },
    "from-seq": { value: "N", about: "from this stream sequence on" },
    since: { value: "WHEN", about: "from a span ago (10m, 2h) or an instant on" },
    count: { value: "N", about: "end after so many events" },
    "no-follow": { about: "end where the stream ends now" },
    data: { about: "show the row, too" },
  },
  examples: ["tail --entity task --scope p1", "tail --since 10m --no-follow --data", "tail --from-seq 4711 --count 20 --json"],
  failsWhen: "the stream cannot be read",
  run: ({ options, json }) =>
    Effect.gen(function* () {
      const { entity } = options
      if (entity !== undefined && !isEntityCode(entity) && !isSystemEntity(entity)) {
        return yield* new UsageError({ message: `--entity ${entity} is not an entity code.`, hint: "A small letter, then small letters, digits and _." })
      }
      const count = yield* wholeNumber("count", options.count)
      const start = yield* startOf(options)
      const nats = yield* openNats
      const log = jetStreamLog(nats)
      const head = yield* logged(() => log.head())
      const from = typeof start === "number" ? start : start === null ? head.last + 1 : yield* firstSince(nats, start, head)
      const end = options["no-follow"] ? head.last : Number.POSITIVE_INFINITY
      if (from > end) return EXIT.ok

      const done = yield* Deferred.make<void, CommandFailed>()
      let shown = 0
      const message = (m: LogMessage): void => {
        if (shown === count || m.seq > end) return
        console.log(json ? asJson(m) : asLine(m, options.data))
        if (++shown === count) Deferred.doneUnsafe(done, Effect.void)
      }
      const event = (e: FollowEvent): void => {
        if (e.type === "silent") console.error("tideline: nats-server is silent; what follows may be late")
        if (e.type === "unreadable") console.error(`tideline: ${e.seq} (${e.subject}) is not a change: ${e.reason}`)
        if (e.type === "reset") Deferred.doneUnsafe(done, Effect.fail(new CommandFailed({ message: e.message, hint: "Start again; `npx tideline status` shows what the stream holds." })))
      }
      const pattern: Pattern = { scope: options.scope ?? null, entity: entity ?? null, id: options.id ?? null }
      const everything = pattern.scope === null && pattern.entity === null && pattern.id === null
      const following = yield* Effect.acquireRelease(
        logged(() => log.follow({ from, ...(everything ? {} : { patterns: [pattern] }), message, event })),
        (f) => Effect.promise(() => f.stop()),
      )
      const wait = Deferred.await(done)
      yield* Number.isFinite(end) ? Effect.race(logged(() => following.reach(end, REACH_MS)), wait) : wait
      return EXIT.ok
    }),
})

/** Milliseconds to read to the end of the stream with --no-follow. */
const REACH_MS = 3_600_000

const wholeNumber = (option: string, text: string | undefined): Effect.Effect<number | undefined, UsageError> =>
  text === undefined || (/^\d+$/.test(text) && Number(text) > 0)
    ? Effect.succeed(text === undefined ? undefined : Number(text))
    : Effect.fail(new UsageError({ message: `--${option} ${text} is not a whole number above 0.`, hint: `For example --${option} 100.` }))

/** A sequence, a time, or null: from now on. */
const startOf = (options: { readonly "from-seq": string | undefined; readonly since: string | undefined }): Effect.Effect<number | Date | null, UsageError> =>
  Effect.gen(function* () {
    const fromSeq = yield* wholeNumber("from-seq", options["from-seq"])
    if (fromSeq !== undefined && options.since !== undefined) {
      return yield* new UsageError({ message: "--from-seq and --since do not go together.", hint: "Give one of them." })
    }
    if (options.since === undefined) return fromSeq ?? null
    return yield* requireInstant("since", options.since, yield* Clock.currentTimeMillis, -1)
  })

/** The first sequence stored at or after this time. The server finds it for a consumer; one message of it says which. */
const firstSince = (nats: Nats, since: Date, head: Head): Effect.Effect<number, CommandFailed> =>
  head.lastAt === null || head.lastAt < since.getTime()
    ? Effect.succeed(head.last + 1)
    : askNats(async () => {
        const consumer = await jetstream(nats.connection).consumers.get(CHANGES, { deliver_policy: DeliverPolicy.StartTime, opt_start_time: since.toISOString() })
        return (await consumer.next({ expires: FIRST_MS }))?.seq ?? head.last + 1
      })

/** Milliseconds the server may take to find a place by its time. */
const FIRST_MS = 10_000

/** An answer of the log, or its refusal as ours. */
const logged = <A>(run: () => Promise<A>): Effect.Effect<A, CommandFailed> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => cause instanceof LogError
      ? new CommandFailed({ message: `The stream: ${cause.message}.`, hint: cause.hint })
      : new CommandFailed({ message: `The stream: ${String(cause)}.`, hint: "`npx tideline doctor` looks for what is wrong." }),
  })

const asJson = (m: LogMessage): string =>
  JSON.stringify({
    seq: m.seq, entity: m.address.entity, id: m.address.id, scope: m.address.scope, operation: m.operation, at: m.at, by: m.user,
    mutation: m.mutation, transaction: m.transaction, data: m.body === "" ? null : (JSON.parse(m.body) as unknown),
  })

const asLine = (m: LogMessage, data: boolean): string => {
  const { transaction: tx, address } = m
  const where = `${address.scope === null ? "" : `${address.scope} / `}${address.entity} ${address.id}`
  const whole = tx.count > 1 ? `  [${tx.position}/${tx.count} of ${tx.xid}]` : ""
  return `${String(m.seq).padStart(8)}  ${m.at}  ${m.operation.padEnd(6)}  ${where}${m.user === null ? "" : `  by ${m.user}`}${whole}${data && m.body !== "" ? `\n          ${m.body}` : ""}`
}
