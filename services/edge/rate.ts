/** How many frames one connection may send: a token bucket, and the patience before the connection is ended for not heeding it. */

export interface RateBounds {
  readonly perSecond: number
  readonly burst: number
}

export type Verdict =
  | { readonly type: "pass" }
  /** Not now. `tell`: say so (once a second at most); `retryAfter` in seconds. */
  | { readonly type: "wait"; readonly tell: boolean; readonly retryAfter: number }
  /** It went on for another burst after it was told. */
  | { readonly type: "close" }

const PASS: Verdict = { type: "pass" }
const CLOSE: Verdict = { type: "close" }

export class Rate {
  readonly #bounds: RateBounds
  #tokens: number
  #at: number
  #refused = 0
  #toldAt = Number.NEGATIVE_INFINITY

  /** `now`: milliseconds of a clock that only goes forward. */
  constructor(bounds: RateBounds, now: number) {
    this.#bounds = bounds
    this.#tokens = bounds.burst
    this.#at = now
  }

  take(now: number): Verdict {
    const { perSecond, burst } = this.#bounds
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) / 1_000) * perSecond)
    this.#at = now
    if (this.#tokens >= 1) {
      this.#tokens -= 1
      if (this.#tokens > burst / 2) this.#refused = 0
      return PASS
    }
    this.#refused += 1
    if (this.#refused > burst) return CLOSE
    const tell = now - this.#toldAt >= 1_000
    if (tell) this.#toldAt = now
    return { type: "wait", tell, retryAfter: Math.ceil((1 - this.#tokens) / perSecond) }
  }
}
