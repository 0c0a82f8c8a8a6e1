import { EXPLAIN_TURN_MS } from "#protocol/limits.ts"

/** Asked between two steps of a walk: null, or what to wait for because others are waiting. */
export type Turn = () => Promise<void> | null

/** One long walk at a time, and that in slices. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  alone<A>(walk: (turn: Turn) => Promise<A>): Promise<A> {
    const mine = this.#last.then(() => {
      let began = performance.now()
      return walk(() => {
        if (performance.now() - began < EXPLAIN_TURN_MS) return null
        return new Promise<void>((resolve) => setImmediate(resolve)).then(() => void (began = performance.now()))
      })
    })
    this.#last = mine.catch(() => {})
    return mine
  }
}
