/** Times as people say them: "3 minutes ago", "tomorrow", by `Intl` in the reader's own language. */

const STEPS: ReadonlyArray<readonly [unit: Intl.RelativeTimeFormatUnit, seconds: number]> = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
]

/** How far `at` lies from `now` (both milliseconds since 1970), in the largest unit of which it is at least one. */
export const relativeTime = (at: number, now: number, locale?: string): string => {
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" })
  const seconds = (at - now) / 1_000
  for (const [unit, size] of STEPS) if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit)
  return format.format(0, "second")
}

/** The exact time, for the hover. */
export const exactTime = (at: number, locale?: string): string =>
  new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" }).format(at)

/** The clock time of today, else the day as well: "10:42", "19 Nov, 10:42". */
export const clockTime = (at: number, now: number, locale?: string): string => {
  const sameDay = new Date(at).toDateString() === new Date(now).toDateString()
  return new Intl.DateTimeFormat(locale, sameDay ? { timeStyle: "short" } : { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" }).format(at)
}

/** `2026-11-21` of the day that `at` falls on here. */
export const isoDay = (at: Date): string =>
  `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`

/** The day of `2026-11-21`, at midnight here. A `date` from the database has no zone, and must not get one. */
export const dayOf = (day: string): Date => {
  const [year, month, date] = day.slice(0, 10).split("-").map(Number)
  return new Date(year ?? 1970, (month ?? 1) - 1, date ?? 1)
}

export interface DueDay {
  readonly text: string
  readonly state: "overdue" | "today" | "soon" | "later"
}

/** How a due day reads on a card: "yesterday", "today", "Thu", "3 Dec", "3 Dec 2027". */
export const dueDay = (day: string, now: Date, locale?: string): DueDay => {
  const due = dayOf(day)
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate())
  const days = Math.round((due.getTime() - today.getTime()) / 86_400_000)
  const state = days < 0 ? "overdue" : days === 0 ? "today" : days <= 2 ? "soon" : "later"
  if (Math.abs(days) <= 1) return { text: new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(days, "day"), state }
  if (days > 0 && days < 7) return { text: new Intl.DateTimeFormat(locale, { weekday: "short" }).format(due), state }
  const sameYear = due.getFullYear() === now.getFullYear()
  return { text: new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", ...(sameYear ? {} : { year: "numeric" }) }).format(due), state }
}
