/** Causes and effects: reads some row as it is committed, then writes another one that names what it read. */
import { CHAIN_ROWS } from "./schema.ts"
import type { Writer } from "./writer.ts"
import { transact } from "./writer.ts"

export const chainWriter = (name: string): Writer => ({
  name,
  every: 30,
  once: (turn) =>
    transact(turn, async (tx) => {
      const cause = turn.random.int(CHAIN_ROWS)
      const effect = (cause + 1 + turn.random.int(CHAIN_ROWS - 1)) % CHAIN_ROWS
      const [seen] = await tx<Array<{ v: number }>>`select v from fault.chain where id = ${cause}`
      await tx`update fault.chain set v = v + 1, cause_id = ${cause}, cause_v = ${seen!.v} where id = ${effect}`
    }),
})
