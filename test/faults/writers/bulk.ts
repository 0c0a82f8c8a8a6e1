/** Transactions around and above the size of a batch: upserts, deletions, COPY. */
import type { Turn, Writer } from "./writer.ts"
import { transact } from "./writer.ts"

const SIZES = [2, 250, 999, 1_000, 1_001, 2_500]
/** Ids there are: rows come and go, their number stays bounded. */
const IDS = 5_000

export const bulkWriter = (name: string): Writer => ({
  name,
  every: 4_000,
  once: (turn) => writeMany(turn, turn.random.pick(SIZES)),
})

/** One transaction of so many rows. */
export const writeMany = (turn: Turn, rows: number): Promise<void> =>
  transact(turn, async (tx) => {
    const { random } = turn
    const first = random.int(IDS - rows)
    const scope = `s${random.int(4)}`
    const v = random.int(1_000_000)
    if (random.chance(0.3)) {
      await tx`delete from fault.bulk where id >= ${first} and id < ${first + rows}`
      // The server runs it: a COPY that this process feeds could be cut off in a way that ends it.
      await tx.unsafe(`copy fault.bulk from program 'seq -f "%.0f,${scope},${v},copied" ${first} ${first + rows - 1}' with (format csv)`)
    } else {
      await tx`
        insert into fault.bulk select g, ${scope}, ${v}, repeat('filler ', ${random.int(12)}) from generate_series(${first}::int, ${first + rows - 1}::int) g
        on conflict (id) do update set scope = excluded.scope, v = excluded.v, filler = excluded.filler`
    }
    if (random.chance(0.3)) await tx`delete from fault.bulk where id % 97 = ${random.int(97)} and id < ${first}`
  })
