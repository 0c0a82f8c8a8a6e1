/** How many questions about a view one authz answers a second, beside a bare responder with replies of the same size. */
import { Effect } from "effect"
import { REQUEST } from "#protocol/request.ts"
import { grantOf, memberOf, openAuthzPlace, startAuthz } from "./authz-place.ts"
import type { Benchmark } from "./benchmark.ts"
import { more } from "./benchmark.ts"
import { fineCpuSeconds } from "./process-cost.ts"
import type { ReplyJobs } from "./reply-worker.ts"
import { ask, rounds } from "./rounds.ts"
import { startWorker } from "./worker.ts"

/** Grants of a user, users who have as many, questions asked in a round, and questions under way at once. */
const CASES = [
  { grants: 1, users: 1_000, questions: 20_000, atOnce: 64 },
  { grants: 100, users: 100, questions: 5_000, atOnce: 64 },
  { grants: 10_000, users: 3, questions: 150, atOnce: 4 },
] as const
const ROUNDS = 5
const FLOOR = "bench.reply"

export const authzResolve: Benchmark = {
  names: CASES.map(({ grants }) => `authz.resolve.${grants}`),
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openAuthzPlace
    const { connection } = place.operator
    let at = 0
    for (const { grants, users } of CASES)
      for (let user = 0; user < users; user++)
        at = yield* place.write([
          memberOf("staff", `user:of-${grants}-${user}`),
          ...Array.from({ length: grants }, (_, i) => grantOf(`user:of-${grants}-${user}`, grants > 1_000 ? { scope: `s${i % 50}`, entity: "task", id: `${user}-${i}` } : { scope: `s${i}` })),
        ])
    const authz = yield* startAuthz(place)
    const responder = yield* startWorker<ReplyJobs>(new URL("./reply-worker.ts", import.meta.url))
    yield* responder.ask("connect", { url: place.nats.url(), subject: FLOOR })
    const rows = []
    for (const { grants, users, questions, atOnce } of CASES) {
      const question = (i: number): string => JSON.stringify({ asks: [{ user: `of-${grants}-${i % users}`, at, before: [] }] })
      /** Questions a second. */
      const load = (subject: string) =>
        ask(async () => {
          let next = 0
          const began = performance.now()
          await Promise.all(
            Array.from({ length: atOnce }, async () => {
              while (next < questions) await connection.request(subject, question(next++), { timeout: 60_000 })
            }),
          )
          return questions / ((performance.now() - began) / 1_000)
        })
      const reply = yield* ask(async () => (await connection.request(REQUEST.views, question(0))).string())
      const { length } = (JSON.parse(reply) as { readonly value: { readonly patterns: ReadonlyArray<ReadonlyArray<unknown>> } }).value.patterns[0]!
      if (length !== grants) return yield* Effect.die(new Error(`${length} patterns came, not ${grants}`))
      yield* responder.ask("reply", reply)
      yield* load(REQUEST.views)
      const before = yield* Effect.promise(() => fineCpuSeconds(authz.pid))
      const { ours, bare } = yield* rounds(ROUNDS, { ours: load(REQUEST.views), bare: load(FLOOR) }, (figures, round) =>
        say(`${grants} grants, round ${round} of ${ROUNDS}: ${figures.ours.toFixed(0)}/s, ${figures.bare.toFixed(0)} by a bare responder`),
      )
      const cpu = ((yield* Effect.promise(() => fineCpuSeconds(authz.pid))) - before) / (ROUNDS * questions)
      rows.push(
        more(`authz.resolve.${grants}`, "questions/s", ours, bare,
          `views of ${users} users with ${grants.toLocaleString("en")} grants each, ${atOnce} under way at once, replies of ${reply.length.toLocaleString("en")} bytes, ${(cpu * 1e6).toFixed(0)} µs of authz's processor each; floor: a bare responder with a reply of that size`),
      )
    }
    return rows
  }),
}
