/** What `doctor` finds: one line a check, each with what to do about it. */

export type State = "ok" | "warning" | "problem"

export interface Finding {
  /** What was looked at. */
  readonly check: string
  readonly state: State
  /** What was found, a plain sentence. */
  readonly found: string
  /** What to do about it; empty where it is well. */
  readonly todo: string
}

export const ok = (check: string, found: string): Finding => ({ check, state: "ok", found, todo: "" })
/** It works, but not for long or not as well as it could. */
export const warning = (check: string, found: string, todo: string): Finding => ({ check, state: "warning", found, todo })
/** Something does not work. */
export const problem = (check: string, found: string, todo: string): Finding => ({ check, state: "problem", found, todo })

/** Milliseconds for which a disaster that is dealt with is still worth a warning. */
export const RECENT_MS = 24 * 3_600_000

/** Whether `version` (`2.15.1`, `18.4 (Debian)`) is `least` or later. */
export const atLeast = (version: string, least: string): boolean => {
  const numbers = (text: string) => (/^[\d.]+/.exec(text)?.[0] ?? "0").split(".").map(Number)
  const [have, need] = [numbers(version), numbers(least)]
  for (const [i, n] of need.entries()) {
    const h = have[i] ?? 0
    if (h !== n) return h > n
  }
  return true
}
