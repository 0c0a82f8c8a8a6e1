/** Everybody who writes. */
import type { Commit } from "../../../demo/history/commits.ts"
import { bulkWriter } from "./bulk.ts"
import { chainWriter } from "./chain.ts"
import { historyWriter } from "./history.ts"
import { preparedWriter } from "./prepared.ts"
import { smallWriter } from "./small.ts"
import type { Writer } from "./writer.ts"

export const allWriters = (history: ReadonlyArray<Commit>): ReadonlyArray<Writer> => [
  historyWriter(history),
  smallWriter("small-1", false),
  smallWriter("small-2", false),
  smallWriter("patient", true),
  chainWriter("chain-1"),
  chainWriter("chain-2"),
  chainWriter("chain-3"),
  bulkWriter("bulk"),
  preparedWriter("prepared"),
]
