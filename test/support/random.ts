/**
 * Randomness for property tests, from a seed. A failure names the seed; TIDELINE_SEED runs with it again.
 */
import { it } from "vitest"

export interface Random {
  /** At least 0, below 1. */
  readonly next: () => number
  /** A whole number of at least 0, below `below`. */
  readonly int: (below: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
  readonly chance: (probability: number) => boolean
  /** Between 0 and `atMost` things. */
  readonly list: <A>(atMost: number, make: () => A) => ReadonlyArray<A>
  readonly shuffle: <A>(values: ReadonlyArray<A>) => ReadonlyArray<A>
  /** Any well-formed text of at most `atMost` characters, odd ones often. */
  readonly text: (atMost: number) => string
}

const oddities = [".", "*", ">", " ", "_", "%", "%41", "/", "\\", ",", "\t", "\n", "ä", "日本", "🦆", "é", "\u202E", "$", "\u0001", "\u007F", '"', "'", "~", ":", "@", "-", "+", "="]

/** Mulberry32: small, fast, and good enough to find what is wrong. */
export const randomFrom = (seed: number): Random => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const int = (below: number): number => Math.floor(next() * below)
  const pick = <A>(from: ReadonlyArray<A>): A => from[int(from.length)]!
  const list = <A>(atMost: number, make: () => A): ReadonlyArray<A> => Array.from({ length: int(atMost + 1) }, make)
  return {
    next,
    int,
    pick,
    chance: (probability) => next() < probability,
    list,
    shuffle: (values) => {
      const shuffled = [...values]
      for (let i = shuffled.length - 1; i > 0; i--) {
        const j = int(i + 1)
        ;[shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!]
      }
      return shuffled
    },
    text: (atMost) => list(atMost, () => (next() < 0.5 ? pick(oddities) : String.fromCharCode(97 + int(26)))).join(""),
  }
}

/** Milliseconds all runs of a property may take on a busy machine. */
const PROPERTY_MS = 60_000

/** A test that runs `check` with `runs` seeds. */
export const property = (name: string, runs: number, check: (random: Random) => void | Promise<void>): void => {
  // oxlint-disable-next-line vitest/valid-title -- it is the caller's
  it(name, { timeout: PROPERTY_MS }, async () => {
    const given = process.env["TIDELINE_SEED"]
    const first = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
    for (let run = 0; run < (given === undefined ? runs : 1); run++) {
      try {
        await check(randomFrom(first + run))
      } catch (cause) {
        throw new Error(`TIDELINE_SEED=${first + run}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      }
    }
  })
}
