/** How far the loop has published, for whoever in this process must wait for it. */
import type { Snapshot } from "./snapshot.ts"
import { parseSnapshot, sees } from "./snapshot.ts"

export interface Progress {
  /** Everything that this snapshot sees is in the stream, up to this sequence. */
  readonly published: (snapshot: string, seq: number) => void
  /** The last sequence of what is published. */
  readonly acked: () => number
  /** Resolves when the changes of the transaction are in the stream. Rejects when it is called off. */
  readonly reaches: (xid: bigint, signal: AbortSignal) => Promise<void>
  /** Resolves when the loop has looked at all there was below the transaction id, but for what was under way. */
  readonly looksBeyond: (xmax: bigint, signal: AbortSignal) => Promise<void>
}

export const makeProgress = (): Progress => {
  let done: Snapshot | null = null
  let last = 0
  const waiting = new Set<() => void>()
  const until = (enough: (snapshot: Snapshot) => boolean, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!signal.aborted && (done === null || !enough(done))) return
        waiting.delete(look)
        signal.removeEventListener("abort", look)
        if (signal.aborted) reject(new Error("called off"))
        else resolve()
      }
      waiting.add(look)
      signal.addEventListener("abort", look)
      look()
    })
  return {
    published: (snapshot, seq) => {
      done = parseSnapshot(snapshot)
      last = seq
      for (const look of waiting) look()
    },
    acked: () => last,
    reaches: (xid, signal) => until((snapshot) => sees(snapshot, xid), signal),
    looksBeyond: (xmax, signal) => until((snapshot) => snapshot.xmax >= xmax, signal),
  }
}
