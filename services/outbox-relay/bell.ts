/** Something to wait at: a ring ends the wait at once, and one that comes while nobody waits ends the next. */
export interface Bell {
  readonly ring: () => void
  /** Resolves at a ring or after so many milliseconds. */
  readonly wait: (ms: number) => Promise<void>
}

export const makeBell = (): Bell => {
  let rung = false
  let wake: (() => void) | null = null
  return {
    ring: () => {
      rung = true
      wake?.()
    },
    wait: (ms) =>
      new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(timer)
          wake = null
          rung = false
          resolve()
        }
        const timer = setTimeout(done, ms)
        if (rung) done()
        else wake = done
      }),
  }
}
