/** The history of a real repository: a commit is a transaction, one after the other; from the beginning again when it is through. */
import { Effect } from "effect"
import type { Commit } from "../../../demo/history/commits.ts"
import { play, position, startOver } from "../../../demo/history/player.ts"
import type { Writer } from "./writer.ts"

/** Commits in one step, and commits a second. */
const STEP = 10
const RATE = 40

export const historyWriter = (history: ReadonlyArray<Commit>): Writer => ({
  name: "history",
  every: 40,
  once: async ({ sql }) => {
    const at = await Effect.runPromise(position(sql))
    if (at >= history.length) return Effect.runPromise(startOver(sql))
    await Effect.runPromise(play(sql, history, { pace: { kind: "steady", commitsPerSecond: RATE }, until: at + STEP }))
  },
})
