/**
 * A role with many members, each with a live connection, loses a scope: how long until the last of them is told, beside a bare server that tells
 * as many sockets one message; and what somebody else, who follows another scope on the same edge, notices of it.
 */
import { Effect } from "effect"
import { setTimeout as after } from "node:timers/promises"
import { SUBPROTOCOL } from "#protocol/version.ts"
import type { Benchmark, Row } from "./benchmark.ts"
import { less, quantile } from "./benchmark.ts"
import type { BroadcastJobs } from "./broadcast-worker.ts"
import type { BystanderJobs } from "./bystander-worker.ts"
import { ENTITY, openPlace, SCOPE } from "./place.ts"
import { cpuSeconds, residentKb } from "./process-cost.ts"
import { ask } from "./rounds.ts"
import type { SocketsJobs } from "./sockets-worker.ts"
import { startWorker } from "./worker.ts"

const CROWDS: ReadonlyArray<{ readonly members: number; readonly rounds: number }> = [{ members: 1_000, rounds: 10 }, { members: 10_000, rounds: 6 }]
const LENT = "lent"
const ROLE = "crowd"
/** Changes a second that the bystander follows, and seconds for which it does so undisturbed. */
const PER_SECOND = 100
const QUIET_S = 5
const REVOKED = `{"type":"ACCESS_REVOKED","payload":{"entityCode":"${ENTITY}","scope":"${LENT}"}}`

export const revokeCrowd: Benchmark = {
  names: [...CROWDS.flatMap(({ members }) => [`authz.revoke.${members}`, `authz.revoke.${members}.p99`]), "authz.bystander"],
  run: Effect.fnUntraced(function* (say) {
    const { stack, sql, token } = yield* openPlace(["edge-2", "command", "web"])
    const edgeUrl = stack.edgeUrls[0]!
    const pids = { edge: stack.pid("edge-1")!, authz: stack.pid("authz")! }
    yield* ask(() => sql`insert into bench.item values (1, ${LENT}, 'lent row', 0)`)
    const give = () => sql`select authz.grant_access(principal => ${`role:${ROLE}`}, scope => ${LENT}, entity => ${ENTITY}, level => 'VIEW')`
    const take = () => sql`select authz.revoke_access(principal => ${`role:${ROLE}`}, scope => ${LENT}, entity => ${ENTITY})`
    yield* ask(give)

    const bystander = yield* startWorker<BystanderJobs>(new URL("./bystander-worker.ts", import.meta.url))
    const following = { databaseUrl: stack.databaseUrl, edgeUrl, token, scope: SCOPE, from: 1_000_000, perSecond: PER_SECOND }
    // The first time does not count: code and caches warm up.
    let quiet: ReadonlyArray<number> = []
    for (let time = 0; time < 2; time++) {
      yield* bystander.ask("begin", following)
      yield* ask(() => after(QUIET_S * 1000))
      quiet = yield* bystander.ask("end", undefined)
    }
    say(`a bystander: median ${quantile(quiet, 0.5).toFixed(1)} ms, p99 ${quantile(quiet, 0.99).toFixed(1)} ms, most ${Math.max(...quiet).toFixed(1)} ms undisturbed`)

    const rows: Array<Row> = []
    let disturbed: ReadonlyArray<number> = []
    for (const { members, rounds } of CROWDS) {
      const clients = yield* startWorker<SocketsJobs>(new URL("./sockets-worker.ts", import.meta.url))
      const others = yield* startWorker<SocketsJobs>(new URL("./sockets-worker.ts", import.meta.url))
      const bare = yield* startWorker<BroadcastJobs>(new URL("./broadcast-worker.ts", import.meta.url))
      yield* ask(() => sql`select count(authz.add_member(${ROLE}, 'member-' || i)) from generate_series(1, ${members}) i`)
      const tokens = yield* ask(() => Promise.all(Array.from({ length: members }, (_, i) => stack.token(`member-${i + 1}`))))
      yield* clients.ask("open", { port: Number(new URL(edgeUrl).port), path: "/ws", protocol: SUBPROTOCOL, count: members })
      yield* clients.ask("sayEach", { texts: tokens.map((text) => JSON.stringify({ type: "AUTH", payload: { token: text } })), until: "AUTH_SUCCESS" })
      yield* clients.ask("say", { text: JSON.stringify({ type: "SUBSCRIBE", payload: { entityCode: ENTITY } }), until: '"LIVE"' })
      yield* others.ask("open", { port: yield* bare.ask("port", undefined), path: "/", protocol: null, count: members })
      say(`${members} connections are live; the edge has ${((yield* ask(() => residentKb(pids.edge))) / 1024).toFixed(0)} MB`)

      const values: Array<number> = []
      const floors: Array<number> = []
      const delays: Array<number> = []
      for (let round = 0; round <= rounds; round++) {
        yield* bystander.ask("begin", following)
        const cpu = yield* ask(() => Promise.all([cpuSeconds(pids.edge), cpuSeconds(pids.authz)]))
        const revoke = async (): Promise<number> => {
          await after(100)
          await take()
          return Date.now()
        }
        const [seen, committed] = yield* Effect.all([clients.ask("see", { mark: REVOKED, kind: REVOKED }), ask(revoke)], { concurrency: 2 })
        const told = seen.at - committed
        const again = yield* Effect.all([clients.ask("see", { mark: "lent row", kind: "lent row" }), ask(give)], { concurrency: 2 })
        const cpuAfter = yield* ask(() => Promise.all([cpuSeconds(pids.edge), cpuSeconds(pids.authz)]))
        const during = yield* bystander.ask("end", undefined)
        const floor = yield* Effect.gen(function* () {
          const began = Date.now()
          const [bareSeen] = yield* Effect.all([others.ask("see", { mark: REVOKED, kind: REVOKED }), bare.ask("send", { frames: [REVOKED], paceMs: 0 })], { concurrency: 2 })
          return bareSeen.at - began
        })
        say(`round ${round}: the last told after ${told} ms (bare ${floor}), given again after ${again[0].at - again[0].since}; bystander p99 ${quantile(during, 0.99).toFixed(0)} ms, most ${Math.max(...during).toFixed(0)} ms; processor of edge ${(cpuAfter[0]! - cpu[0]!).toFixed(2)} s, authz ${(cpuAfter[1]! - cpu[1]!).toFixed(2)} s`)
        if (round === 0) continue
        values.push(told)
        floors.push(floor)
        delays.push(...during)
      }
      disturbed = delays
      say(`the edge has ${((yield* ask(() => residentKb(pids.edge))) / 1024).toFixed(0)} MB, authz ${((yield* ask(() => residentKb(pids.authz))) / 1024).toFixed(0)} MB`)
      const note = `revoke committed → the last of ${members.toLocaleString("en")} connections told, each of another member of the role, ${rounds} times; floor: bare ws telling as many sockets`
      rows.push(less(`authz.revoke.${members}`, "ms", quantile(values, 0.5), quantile(floors, 0.5), note))
      rows.push(less(`authz.revoke.${members}.p99`, "ms", quantile(values, 0.99, "upper"), quantile(floors, 0.99, "upper"), note))
      yield* clients.ask("close", undefined)
      yield* others.ask("close", undefined)
    }
    rows.push(less("authz.bystander", "ms", quantile(disturbed, 0.99), quantile(quiet, 0.99),
      `p99 from the sending of a write to its change, parsed, ${PER_SECOND} a second in another scope, while ${CROWDS.at(-1)!.members.toLocaleString("en")} connections of the same edge lose one and get it back; most ${Math.max(...disturbed).toFixed(0)} ms; floor: while nothing else happens`))
    return rows
  }),
}
