/** For tests of what has no signal of its own: looks again after each turn of the loop until `condition` holds. Fails with `what` after five seconds. */
export const until = async (condition: () => boolean, what: () => string = () => String(condition)): Promise<void> => {
  const end = Date.now() + 5_000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within 5 s: ${what()}`)
    await turn()
  }
}

/** Lets everything that is ready run. */
export const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0))
