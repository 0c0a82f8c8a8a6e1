/** `status`: how far behind every hop is, on one screen. Each part is asked for by itself: one that is away does not hide the others. */
import { Clock, Effect, Result } from "effect"
import { isAlive } from "#dev/processes.ts"
import { command } from "../command.ts"
import { openDatabase, openNats } from "../connect.ts"
import { demoRun } from "../demo-run.ts"
import { EXIT } from "../failure.ts"
import { print, printJson, size, table } from "../output.ts"
import { readAside } from "../status/aside.ts"
import type { AuthzFacts } from "../status/authz.ts"
import { readAuthz } from "../status/authz.ts"
import type { Backlog } from "../status/backlog.ts"
import { backlog, COUNTED } from "../status/backlog.ts"
import type { DatabaseFacts } from "../status/database.ts"
import { readDatabase } from "../status/database.ts"
import type { EdgeFacts } from "../status/edges.ts"
import { edgeAddresses, readEdge } from "../status/edges.ts"
import type { OutboxSize } from "../status/outbox.ts"
import { readOutboxSize } from "../status/outbox.ts"
import type { StreamFacts, Streams } from "../status/streams.ts"
import { readStreams } from "../status/streams.ts"
import { spell } from "../time.ts"

/** How far one part of the way is behind the one before it. */
interface Hop {
  readonly hop: string
  /** Null where it is not known. */
  readonly lagEvents: number | null
  readonly lagMs: number | null
  readonly ok: boolean
  readonly note: string
}

export const status = command({
  name: "status",
  summary: "the lag of every hop, streams, cursor, connections",
  args: [],
  options: { edges: { value: "URLS", about: "the edges to ask, with commas; else the demo's, else TIDELINE_EDGE_PORTS on this machine" } },
  examples: ["status", "status --json", "status --edges http://edge-a:4001,http://edge-b:4001"],
  failsWhen: "a hop is away",
  run: ({ options, json }) =>
    Effect.gen(function* () {
      const run = yield* demoRun
      const now = yield* Clock.currentTimeMillis
      const addresses = yield* edgeAddresses(options.edges, run)
      const nats = yield* Effect.result(openNats)
      const streams = yield* Effect.result(Effect.flatMap(Effect.fromResult(nats), readStreams))
      const sql = yield* Effect.result(openDatabase)
      const database = yield* Effect.result(Effect.flatMap(Effect.fromResult(sql), readDatabase))
      const found = Result.getOrUndefined(streams)
      const last = found?.changes?.last ?? 0
      // What waits is known only beside the cursor: without the stream everything would seem to.
      const waiting = found === undefined ? undefined
        : Result.getOrUndefined(yield* Effect.result(Effect.flatMap(Effect.fromResult(sql), (open) => backlog(open, found.cursor))))
      const outbox = Result.getOrUndefined(yield* Effect.result(Effect.flatMap(Effect.fromResult(sql), (open) => readOutboxSize(open, found?.cursor?.last ?? null))))
      const aside = Result.getOrUndefined(yield* Effect.result(Effect.flatMap(Effect.fromResult(sql), readAside)))
      const authz = found === undefined ? null : yield* Effect.flatMap(Effect.orDie(Effect.fromResult(nats)), (open) => readAuthz(open, last))
      const edges = yield* Effect.forEach(addresses, readEdge, { concurrency: "unbounded" })

      const hops: ReadonlyArray<Hop> = [
        Result.match(database, { onFailure: (error) => away("postgres", error.message), onSuccess: outboxHop }),
        relayHop(Result.getOrUndefined(database), waiting),
        ...Result.match(streams, {
          onFailure: (error) => [away("streams", error.message)],
          onSuccess: (s) => streamHops(s, now),
        }),
        ...(authz === null ? [] : [authzHop(authz)]),
        ...edges.map((edge) => edgeHop(edge, last)),
      ]
      const report = {
        hops,
        streams: [found?.changes, found?.state].filter((s): s is StreamFacts => s !== null && s !== undefined),
        cursor: found?.cursor ?? null,
        outbox: outbox === undefined ? null : { ...outbox, addressesAside: aside?.length ?? null },
        connections: edges.map(({ name, url, connections, position, lagMs }) => ({ edge: name, url, connections, position, viewAgeMs: lagMs })),
        tracked: Result.getOrUndefined(database)?.tracked ?? [],
        ...(run === null ? {} : {
          processes: run.processes.map((p) => ({ ...p, alive: p.pid !== null && isAlive(p.pid) })),
          databaseUrl: run.databaseUrl,
          natsUrl: run.natsUrl,
        }),
      }
      yield* json ? printJson(report) : print(screen(report))
      return hops.every((hop) => hop.ok) ? EXIT.ok : EXIT.failed
    }),
})

const away = (hop: string, note: string): Hop => ({ hop, lagEvents: null, lagMs: null, ok: false, note })

const outboxHop = (facts: DatabaseFacts): Hop => ({
  hop: "postgres", lagEvents: 0, lagMs: 0, ok: true,
  note: `version ${facts.version}, ${facts.tracked.length} tables tracked`,
})

const relayHop = (facts: DatabaseFacts | undefined, waiting: Backlog | undefined): Hop => {
  const held = facts?.relayHolds ?? false
  return {
    hop: "relay",
    lagEvents: waiting?.events ?? null,
    lagMs: waiting?.oldestMs ?? null,
    ok: held,
    note: facts === undefined ? "not known without Postgres" : !held ? "no relay holds the lease: nothing is published"
      : waiting?.events === COUNTED ? `at least ${COUNTED.toLocaleString("en")} changes wait` : "",
  }
}

const streamHops = ({ changes, state }: Streams, now: number): ReadonlyArray<Hop> => {
  if (changes === null) return [away("CHANGES", "no such stream: the relay makes it when it starts")]
  const age = changes.lastAt === null ? "empty" : `newest ${spell(Math.max(0, now - Date.parse(changes.lastAt)))} old`
  const lag = state === null ? null : Math.max(0, changes.last - state.last)
  return [
    { hop: "CHANGES", lagEvents: 0, lagMs: null, ok: true, note: age },
    state === null
      ? away("STATE", "no such stream: the relay makes it when it starts")
      : { hop: "STATE", lagEvents: lag, lagMs: null, ok: true, note: lag === 0 ? "" : "the mirror is behind" },
  ]
}

const authzHop = (facts: AuthzFacts): Hop => ({
  hop: "authz", lagEvents: facts.answers ? 0 : null, lagMs: facts.answers ? facts.tookMs : null, ok: facts.answers,
  note: facts.answers ? "time to reach the end of the stream and answer" : facts.reason,
})

const edgeHop = (edge: EdgeFacts, last: number): Hop => {
  const lagEvents = edge.position === null ? null : Math.max(0, last - edge.position)
  return {
    hop: edge.name,
    lagEvents,
    // The age of its view counts as a lag only where there is something it has not seen.
    lagMs: lagEvents === 0 ? 0 : edge.lagMs,
    ok: edge.reachable && edge.reasons.length === 0,
    note: edge.reasons.length > 0 ? `${edge.url}: ${edge.reasons.join("; ")}` : `${edge.connections ?? "?"} connections`,
  }
}

interface Report {
  readonly hops: ReadonlyArray<Hop>
  readonly streams: ReadonlyArray<StreamFacts>
  readonly cursor: Streams["cursor"]
  readonly outbox: (OutboxSize & { readonly addressesAside: number | null }) | null
  readonly processes?: ReadonlyArray<{ readonly name: string; readonly pid: number | null; readonly port: number | null; readonly alive: boolean }>
}

const screen = (report: Report): string => {
  const { cursor, outbox } = report
  return [
    table([
      ["hop", "behind", "", ""],
      ...report.hops.map((h) => [h.hop, h.lagEvents === null ? (h.ok ? "" : "away") : `${h.lagEvents.toLocaleString("en")} events`, h.lagMs === null || h.lagMs === 0 ? "" : spell(h.lagMs), h.note]),
    ]),
    "",
    table([
      ["stream", "first", "last", "messages", "MiB", "entities", "consumers"],
      ...report.streams.map((s) => [s.name, s.first, s.last, s.messages, Math.round(s.bytes / 2 ** 20), s.subjects, s.consumers]),
    ]),
    "",
    cursor === null ? "cursor: none, nothing was published yet" : `cursor: epoch ${cursor.epoch}, published up to snapshot ${cursor.last}${cursor.window === null ? "" : `, publishing ${cursor.window} (transaction up to id ${cursor.tx}, id ${cursor.id})`}`,
    ...(outbox === null ? [] : [`outbox: ${size(outbox.bytes)} in ${outbox.partitions} partitions, ${size(outbox.bytesADay)} a day${outbox.addressesAside ? `; changes of ${outbox.addressesAside.toLocaleString("en")} entities are set aside: npx tideline aside` : ""}`]),
    ...(report.processes === undefined ? [] : [
      "",
      table([["process", "pid", "port", ""], ...report.processes.map((p) => [p.name, String(p.pid ?? ""), String(p.port ?? ""), p.alive ? "" : "not running"])]),
    ]),
  ].join("\n")
}
