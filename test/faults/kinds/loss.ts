/** Something acknowledged is lost: it needs an older copy, and that the relay has noted in Postgres more than the copy holds. */
import { until } from "#test/support/until.ts"
import type { World } from "../world/world.ts"

/** Messages at least between the copy and its return. */
const LOST = 20
/** Milliseconds in which as many are published. */
const PATIENCE_MS = 30_000

/** The streams as they were a moment ago; `CHANGES`: that alone, and the mirror is ahead of it. */
export const loseTail = async (world: World, what: "everything" | "CHANGES"): Promise<void> => {
  const copy = await world.copyStore()
  const from = await until(async () => (await world.published()) || null, { what: "nats-server is back", deadline: PATIENCE_MS })
  await until(async () => (await world.published()) >= from + LOST, { what: "more is published", deadline: PATIENCE_MS })
  await until(async () => {
    const [row] = await world.sql<Array<{ acked: string }>>`select acked_seq as acked from tide.relay_state`
    return row !== undefined && Number(row.acked) >= from + LOST
  }, { what: "it is noted", deadline: PATIENCE_MS })
  world.lost(what === "everything" ? 1 : 5)
  await copy.back(what)
}
