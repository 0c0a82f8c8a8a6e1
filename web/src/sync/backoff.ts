/** How long to wait before the next try: full jitter, so that ten thousand clients of one edge do not come back in one wave. */
import type { Next } from "#protocol/close.ts"

/** Milliseconds within which a first try is made, and after a failure without a verdict. */
const FIRST_MS = 500
/** The longest window: what a person who looks at the pill will put up with. */
const LONGEST_MS = 30_000

/** The window in milliseconds for the try after `failed` failures in a row; `random` is in [0, 1). `now` has the first window however often. */
export const delayMs = (next: Exclude<Next, "stop" | "sign-in">, failed: number, random: number): number =>
  Math.round(random * (next === "now" && failed < 3 ? FIRST_MS : Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failed, 10))))
