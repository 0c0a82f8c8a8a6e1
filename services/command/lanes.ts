/**
 * Commands to one entity go one after another, in the order they came; commands to different entities side by side, up to a
 * bound. So a row that everybody edits holds one connection to Postgres, not all of them.
 */

export interface Lanes {
  /** Runs `work` when those before it under the same key are done and there is room. Settles as `work` does. */
  readonly run: <A>(key: string, work: () => A | Promise<A>) => Promise<A>
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

  return {
    run: (key, work) => {
      const turn = async () => {
        await enter()
        try {
          return await work()
        } finally {
          leave()
        }
      }
      const before = last.get(key)
      const mine = before === undefined ? turn() : before.then(turn, turn)
      last.set(key, mine)
      const clear = () => {
        if (last.get(key) === mine) last.delete(key)
      }
      mine.then(clear, clear)
      return mine
    },
  }
}
