/** Numbers that a seed repeats (mulberry32), for tests that print theirs. */
export interface Random {
  /** In [0, 1). */
  readonly next: () => number
  /** A whole number below `n`. */
  readonly below: (n: number) => number
  readonly pick: <T>(from: ReadonlyArray<T>) => T
}

export const randomFrom = (seed: number): Random => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (n: number): number => Math.floor(next() * n)
  return { next, below, pick: (from) => from[below(from.length)]! }
}
