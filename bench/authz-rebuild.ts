/** How long authz takes to know again who may do what, beside a bare reader of the same messages. */
import { Effect } from "effect"
import { STATE } from "#nats/streams.ts"
import type { AppendedChange } from "#test/support/append.ts"
import { grantOf, memberOf, openAuthzPlace, startAuthz } from "./authz-place.ts"
import type { Benchmark } from "./benchmark.ts"
import { less, median } from "./benchmark.ts"
import { cpuSeconds, peakResidentKb } from "./process-cost.ts"
import type { ReadJobs } from "./read-worker.ts"
import { startWorker } from "./worker.ts"

const GRANTS = 100_000
/** Each user is in one of a thousand roles, and has a grant of their own. */
const MEMBERS = 100_000
const ROLES = 1_000
const ROUNDS = 5

const accessRows = (): ReadonlyArray<AppendedChange> => [
  ...Array.from({ length: GRANTS }, (_, i) => grantOf(i < ROLES ? `role:r${i}` : `user:u${i}`, { scope: `scope-${i % 5_000}` })),
  ...Array.from({ length: MEMBERS }, (_, i) => memberOf(`r${i % ROLES}`, `user:u${i}`)),
]

export const authzRebuild: Benchmark = {
  names: ["authz.rebuild", "authz.rebuild.memory"],
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openAuthzPlace
    const last = yield* place.write(accessRows())
    say(`${last.toLocaleString("en")} rows written`)
    const taken = { values: [] as Array<number>, floors: [] as Array<number>, cpu: [] as Array<number>, memory: [] as Array<number>, bareMemory: [] as Array<number> }
    /** From the start of a process until it is ready. */
    const ours = Effect.scoped(
      Effect.gen(function* () {
        const authz = yield* startAuthz(place)
        taken.cpu.push(yield* Effect.promise(() => cpuSeconds(authz.pid)))
        taken.memory.push((yield* Effect.promise(() => peakResidentKb(authz.pid))) / 1_000)
        return authz.readyAfterMs / 1_000
      }),
    )
    /** The same from a process that throws away what it reads. */
    const bare = Effect.scoped(
      Effect.gen(function* () {
        const began = performance.now()
        const worker = yield* startWorker<ReadJobs>(new URL("./read-worker.ts", import.meta.url))
        yield* worker.ask("read", { url: place.nats.url(), stream: STATE, subjects: ["chg._acl._grant.*", "chg._acl._member.*"], count: GRANTS + MEMBERS })
        taken.bareMemory.push((yield* Effect.promise(() => peakResidentKb(worker.pid))) / 1_000)
        return (performance.now() - began) / 1_000
      }),
    )
    const whole = yield* ours
    taken.cpu.length = 0
    taken.memory.length = 0
    yield* place.trim(last)
    for (let round = 1; round <= ROUNDS; round++) {
      taken.values.push(yield* ours)
      taken.floors.push(yield* bare)
      say(`round ${round} of ${ROUNDS}: ready after ${taken.values.at(-1)!.toFixed(2)} s, ${taken.floors.at(-1)!.toFixed(2)} a bare reader`)
    }
    const rows = `${GRANTS.toLocaleString("en")} grants and ${MEMBERS.toLocaleString("en")} memberships`
    return [
      less("authz.rebuild", "s", median(taken.values), median(taken.floors),
        `from the start of a process until it is ready, ${rows} that only STATE holds, ${median(taken.cpu).toFixed(2)} s of its processor; with all of it in CHANGES ${whole.toFixed(2)} s; floor: a bare process that reads the same messages by nats.js`),
      less("authz.rebuild.memory", "MB", median(taken.memory), median(taken.bareMemory), `the most resident memory that it had until then; floor: of that bare process`),
    ]
  }),
}
