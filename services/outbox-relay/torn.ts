/**
 * A batch is stored whole or not at all, but for two cases: a single server that is at a limit of its account or its store checks message by
 * message while it stores a batch, and a store may be copied in the middle of one. Then the stream ends with a part: its first message says of
 * which window it is, and how many rows follow from where the cursor before it stands. Publishing goes on after that part.
 */
import type { Sql } from "#db/postgres.ts"
import type { RelayCursor } from "./cursor.ts"
import { advance, windowDone } from "./cursor.ts"
import { postgresStopped, RelayStopped } from "./errors.ts"
import type { Torn } from "./stream-end.ts"
import { skip } from "./window.ts"

/** Where to go on after a part of a batch: its rows are the next ones of its window. */
export const afterTorn = async (sql: Sql, torn: Torn, cursor: RelayCursor): Promise<RelayCursor> => {
  // A window that was streamed is at its end without a word of it; then the batch is of the next one.
  const begun = cursor.window === null ? cursor : windowDone(cursor, cursor.window)
  const from = cursor.window === torn.window ? cursor : advance(begun, torn.window, 0, 0)
  const place = await skip(sql, { ...from, window: torn.window }, torn.rows).catch((cause: unknown) => Promise.reject(postgresStopped(cause)))
  if (place !== null) return place
  throw new RelayStopped({
    reason: "stream",
    message: `the stream ends with ${torn.rows} changes of a batch that the outbox does not have`,
    hint: "it is not the stream of this outbox, or its partitions were removed by hand: remove the streams to have them made again",
  })
}
