/** How long a grant is to last, as people choose it. Pure. */
export interface Lasts {
  /** Milliseconds as text; "0" for good, "day" until the end of `day`. */
  readonly span: string
  /** `2026-11-21`, or empty. */
  readonly day: string
}

export const FOR_GOOD: Lasts = { span: "0", day: "" }

const HOUR = 3_600_000
export const SPANS: ReadonlyArray<{ readonly id: string; readonly name: string }> = [
  { id: "0", name: "For good" }, { id: String(HOUR), name: "For an hour" }, { id: String(8 * HOUR), name: "For 8 hours" }, { id: String(24 * HOUR), name: "For a day" },
  { id: String(168 * HOUR), name: "For a week" }, { id: String(720 * HOUR), name: "For 30 days" }, { id: "day", name: "Until a day…" },
]

export const isChosen = ({ span, day }: Lasts): boolean => span !== "day" || !Number.isNaN(Date.parse(`${day}T23:59:59`))

/** ISO 8601; null: no end. */
export const endOf = ({ span, day }: Lasts, now: number): string | null => {
  if (span === "0") return null
  // The end of that day, here.
  return new Date(span === "day" ? `${day}T23:59:59` : now + Number(span)).toISOString()
}
