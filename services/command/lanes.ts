/**
 * Commands to one entity go one after another, in the order they came; commands to different entities side by side, up to a
 * bound. So a row that everybody edits holds one connection to Postgres, not all of them.
 *
 * Whoever waits knows that somebody works on the entity. So one that must wait for others is looked at meanwhile (`early`), and answered at once if that is all
 * there is to say.
 */

export interface Lanes {
  /**
   * Runs `work` when those before it under the same key are done and there is room. Settles as `work` does. Where others are before it, `early` runs as soon
   * as there is room; what it answers is the answer, and `work` is not run. Null, or a failure: no answer.
   */
  readonly run: <A>(key: string, work: () => A | Promise<A>, early?: () => Promise<A | null>) => Promise<A>
}

/** `atOnce`: how many may run side by side. */
export const makeLanes = (atOnce: number): Lanes => {
  /** The last command of each entity that has one. */
  const last = new Map<string, Promise<unknown>>()
  const waiting: Array<() => void> = []
  let running = 0

  const enter = (): Promise<void> | undefined => {
    if (running < atOnce) {
      running++
      return undefined
    }
    return new Promise((resolve) => waiting.push(resolve))
  }
  const leave = (): void => {
    // Who leaves gives its place to the next, so that nobody who comes meanwhile takes it.
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }

  const inside = async <A>(work: () => A | Promise<A>): Promise<A> => {
    await enter()
    try {
      return await work()
    } finally {
      leave()
    }
  }

  return {
    run: async (key, work, early) => {
      const asked = { begun: false, answered: false }
      const turn = async () => {
        if (asked.answered) return undefined as never
        asked.begun = true
        return inside(work)
      }
      const before = last.get(key)
      const mine = before === undefined ? turn() : before.then(turn, turn)
      last.set(key, mine)
      const clear = () => {
        if (last.get(key) === mine) last.delete(key)
      }
      mine.then(clear, clear)
      if (before === undefined || early === undefined) return mine
      const answer = await inside(early).catch(() => null)
      if (answer === null || asked.begun) return mine
      asked.answered = true
      return answer
    },
  }
}
