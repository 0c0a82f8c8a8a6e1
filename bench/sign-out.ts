/** From a sign-out in Postgres to the socket that is closed, beside the parts of the way. */
import { Effect } from "effect"
import type { Benchmark } from "./benchmark.ts"
import { less, quantile } from "./benchmark.ts"
import { openClient } from "./client.ts"
import { openParts, PARTS } from "./parts.ts"
import { openPlace, READER, SCOPE } from "./place.ts"
import { ask } from "./rounds.ts"

const SAMPLES = 200
/** Not counted: code warms up. */
const WARM_UP = 20

export const signOut: Benchmark = {
  names: ["authz.signout.p50", "authz.signout.p99"],
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openPlace(["edge-2", "command", "web"])
    const { stack, sql, token } = place
    yield* ask(() => sql`insert into bench.item values (1, ${SCOPE}, 'item', 0)`)
    const edgeUrl = stack.edgeUrls[0]!
    const stays = yield* Effect.acquireRelease(
      ask(() => openClient(edgeUrl, token)),
      (client) => Effect.sync(() => client.close()),
    )
    const parts = yield* openParts(place)
    const values: Array<number> = []
    const floors: Array<number> = []
    for (let i = 0; i < WARM_UP + SAMPLES; i++) {
      const session = `session-${i}`
      const client = yield* ask(async () => openClient(edgeUrl, await stack.token(READER, session)))
      const value = yield* ask(async () => {
        await sql`select authz.sign_out(${READER}, ${session})`
        const committed = performance.now()
        return (await client.closed) - committed
      })
      const floor = yield* ask(() => parts(stays.lastChanges()))
      if (i < WARM_UP) continue
      values.push(value)
      floors.push(floor)
    }
    say(`${SAMPLES} sessions signed out`)
    const note = `sign_out committed → socket closed at the client, ${SAMPLES} samples; floor: ${PARTS}`
    return [0.5, 0.99].map((q) => less(`authz.signout.p${q * 100}`, "ms", quantile(values, q), quantile(floors, q), note))
  }),
}
