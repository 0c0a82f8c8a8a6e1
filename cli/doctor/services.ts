/** The services as `doctor` sees them: does each answer, and is it level with the log? */
import { Clock, Effect } from "effect"
import type { Sql } from "postgres"
import { isAlive } from "#dev/processes.ts"
import type { Nats } from "#nats/connection.ts"
import { commandSubject } from "#protocol/subject.ts"
import { query } from "../connect.ts"
import type { DemoProcess } from "../demo-run.ts"
import type { CommandFailed } from "../failure.ts"
import { describeSteps, readSteps } from "../rebuild-progress.ts"
import { readAuthz } from "../status/authz.ts"
import { backlog, COUNTED } from "../status/backlog.ts"
import { leaseHeld } from "../status/database.ts"
import type { EdgeFacts } from "../status/edges.ts"
import { readyReasons } from "../status/edges.ts"
import type { Streams } from "../status/streams.ts"
import { spell } from "../time.ts"
import type { Finding } from "./finding.ts"
import { ok, problem, RECENT_MS, warning } from "./finding.ts"
import { outboxFindings } from "./room.ts"

/** Milliseconds a change may wait in the outbox before a relay that runs is too slow. */
const RELAY_BEHIND_MS = 10_000
/** Events an edge may be behind for a moment without a word. */
const EDGE_BEHIND = 1_000

/** Needs Postgres and the stream: what is published is known only from both. */
export const relayFindings = (sql: Sql, streams: Streams): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.gen(function* () {
    const [lease] = yield* query(() => sql<Array<{ held: boolean }>>`select ${leaseHeld(sql)} as held`)
    const running = lease!.held
      ? ok("relay", "one holds the lease")
      : problem("relay", "None holds the lease: nothing is published.", "Start services/outbox-relay/main.ts; its log says why it ended.")
    const waiting = yield* backlog(sql, streams.cursor)
    const count = waiting.events === COUNTED ? `at least ${COUNTED.toLocaleString("en")}` : waiting.events.toLocaleString("en")
    const behind = waiting.events === 0 ? ok("outbox backlog", "everything is published")
      : waiting.oldestMs < RELAY_BEHIND_MS ? ok("outbox backlog", `${count} changes, the oldest ${spell(waiting.oldestMs)} old`)
      : problem("outbox backlog", `${count} changes wait, the oldest for ${spell(waiting.oldestMs)}.`,
          lease!.held ? "Look again in a minute. If it grows, see the relay's log and nats-server's store." : "Start a relay: it goes on where the last one stopped.")
    return [running, behind, ...(yield* outboxFindings(sql, streams.cursor?.last ?? null)), ...(yield* stateFinding(sql, streams)), ...(yield* rebuildFinding(sql, lease!.held))]
  })

/** The last rebuild: after a disaster why it came to that, when, and how far it is. */
const rebuildFinding = (sql: Sql, relayWorks: boolean): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.gen(function* () {
    const steps = (yield* readSteps(sql)).filter((step) => step.reason !== "backfill")
    const first = steps[0]
    if (first === undefined) return []
    const what = `${first.requestedAt}${first.epoch === null ? "" : `, epoch ${first.epoch}`}: ${first.reason}`
    const failed = steps.filter((step) => step.error !== null)
    if (failed.length > 0) return [problem("rebuild", `${what}. Left out: ${failed.map((step) => `${step.kind} ${step.what} (${step.error})`).join("; ")}.`, "Put that right, then: npx tideline rebuild --yes")]
    if (steps.some((step) => step.doneAt === null)) {
      const far = `${what}. Not complete: ${describeSteps(steps)}.`
      return [relayWorks ? warning("rebuild", far, "It goes on by itself. Until it is complete clients may see rows that are gone, or not see some that are there.") : problem("rebuild", far, "Start a relay: it goes on where the last one stopped.")]
    }
    const done = `${what}. Complete at ${steps.at(-1)!.doneAt}: ${describeSteps(steps)}.`
    const recent = first.epoch !== null && Date.parse(first.requestedAt) > (yield* Clock.currentTimeMillis) - RECENT_MS
    return [recent ? warning("rebuild", done, CHECK_AFTER) : ok("rebuild", done)]
  })

const CHECK_AFTER = "Check that Postgres holds what you expect of it: what it lost is gone from the log as well. Services that keep results of their own should compare them."

/** What the relay remembers beside the stream it was acknowledged by. */
const stateFinding = (sql: Sql, streams: Streams): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.map(
    query(() => sql<Array<{ epoch: string; acked: string; same_cluster: boolean }>>`
      select epoch, acked_seq::text as acked, system_identifier = tide.system_identifier() as same_cluster from tide.relay_state`),
    ([state]) => {
      if (state === undefined) return []
      const last = streams.changes?.last ?? 0
      if (!state.same_cluster) return [problem("relay memory", "It is of another Postgres cluster: this one was restored or copied.", "Restart the relay: it opens a new epoch, makes the log say what the tables do, and clients follow.")]
      if (Number(state.acked) > last) return [problem("relay memory", `The stream ends at ${last}, but ${state.acked} was acknowledged: its end is lost.`, "Restart the relay: it opens a new epoch and publishes what was lost from the outbox again.")]
      return [ok("relay memory", `epoch ${state.epoch}, acknowledged up to ${state.acked}`)]
    },
  )

export const authzFindings = (nats: Nats, last: number): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.map(readAuthz(nats, last), (authz) => [
    authz.answers
      ? ok("authz", `answers as of sequence ${last} in ${spell(authz.tookMs)}`)
      : problem("authz", `It does not answer: ${authz.reason}. Nobody can sign in or be shown more.`, "Start services/authz/main.ts; its log says why it ended."),
  ])

/** Milliseconds the command service may take to refuse an empty request. */
const REFUSAL_MS = 3_000

/** An empty request is refused by whoever answers, and changes nothing. */
export const commandFindings = (nats: Nats): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.promise(async () => {
    try {
      await nats.connection.request(commandSubject({ scope: null, entity: "tideline_doctor", id: "0" }), "{}", { timeout: REFUSAL_MS })
      return [ok("command", "answers")]
    } catch (error) {
      return [problem("command", `It does not answer: ${error instanceof Error ? error.message : String(error)}. Nobody's edits arrive.`, "Start services/command/main.ts; its log says why it ended.")]
    }
  })

export const edgeFindings = (edges: ReadonlyArray<EdgeFacts>, last: number): ReadonlyArray<Finding> =>
  edges.map((edge) => {
    if (!edge.reachable) return problem(edge.name, `${edge.url} does not answer.`, "Start services/edge/main.ts there, or name the edges: --edges http://host:port,…")
    if (edge.reasons.length > 0) return problem(edge.name, `It cannot serve: ${edge.reasons.join("; ")}.`, "See the findings above and the edge's log.")
    const behind = edge.position === null ? 0 : last - edge.position
    return behind > EDGE_BEHIND
      ? warning(edge.name, `It is ${behind.toLocaleString("en")} events behind.`, "Look again in a minute; if it grows, it serves too many connections: start another.")
      : ok(edge.name, `ready, ${edge.connections ?? "?"} connections`)
  })

/** One of the processes that `npm start` looks after. */
export const processFinding = ({ name, pid, observePort }: DemoProcess): Effect.Effect<Finding> =>
  Effect.gen(function* () {
    const check = `process ${name}`
    if (pid === null || !isAlive(pid)) return problem(check, "It does not run.", "npm start restarts what dies; the log in TIDELINE_DATA/logs says why it ended.")
    if (observePort === null) return ok(check, `pid ${pid}`)
    const reasons = yield* readyReasons(`http://127.0.0.1:${observePort}`)
    return reasons.length === 0 ? ok(check, `pid ${pid}, ready`) : problem(check, `It cannot serve: ${reasons.join("; ")}.`, "See the findings above and its log in TIDELINE_DATA/logs.")
  })
