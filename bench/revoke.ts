/** From a revocation in Postgres to the client that is told to forget, beside the parts of the way. */
import { Effect } from "effect"
import type { Benchmark } from "./benchmark.ts"
import { less, median, quantile } from "./benchmark.ts"
import { openClient } from "./client.ts"
import { openParts, PARTS } from "./parts.ts"
import { ENTITY, openPlace, READER } from "./place.ts"
import { ask } from "./rounds.ts"

const SAMPLES = 100
/** Not counted: code warms up. */
const WARM_UP = 10
/** A scope of its own, with one row to be given and forgotten. */
const LENT = "lent"

export const authzRevoke: Benchmark = {
  names: ["authz.revoke", "authz.revoke.p99"],
  run: Effect.fnUntraced(function* (say) {
    const place = yield* openPlace(["edge-2", "command", "web"])
    const { stack, sql, token } = place
    yield* ask(() => sql`insert into bench.item values (1, ${LENT}, 'item', 0)`)
    const client = yield* Effect.acquireRelease(
      ask(() => openClient(stack.edgeUrls[0]!, token)),
      (c) => Effect.sync(() => c.close()),
    )
    const parts = yield* openParts(place)
    const give = async (): Promise<void> => {
      const seen = client.see("CHANGES", `"${LENT}"`)
      await sql`select authz.grant_access(principal => ${`user:${READER}`}, scope => ${LENT}, entity => ${ENTITY}, level => 'VIEW')`
      await seen
    }
    const take = async (): Promise<number> => {
      const seen = client.see("ACCESS_REVOKED", `"${LENT}"`)
      const started = performance.now()
      await sql`select authz.revoke_access(principal => ${`user:${READER}`}, scope => ${LENT}, entity => ${ENTITY})`
      return (await seen) - started
    }
    const values: Array<number> = []
    const floors: Array<number> = []
    for (let i = 0; i < WARM_UP + SAMPLES; i++) {
      yield* ask(give)
      const value = yield* ask(take)
      const floor = yield* ask(() => parts(client.lastChanges()))
      if (i < WARM_UP) continue
      values.push(value)
      floors.push(floor)
    }
    say(`${SAMPLES} grants given and taken`)
    const note = `revoke_access sent → ACCESS_REVOKED parsed by the client, ${SAMPLES} samples; floor: ${PARTS}`
    return [less("authz.revoke", "ms", median(values), median(floors), note), less("authz.revoke.p99", "ms", quantile(values, 0.99), quantile(floors, 0.99), note)]
  }),
}
