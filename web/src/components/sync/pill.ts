/** The words and colour of the pill. Its first word is a promise to tests and screen readers: Live, Catching up, Connecting, Offline, Signed out. */
import type { Status } from "../../sync/status.ts"
import { clockTime } from "../ui/relative-time.ts"

export interface Pill {
  readonly tone: "good" | "busy" | "warn" | "bad"
  readonly text: string
  /** Said after it where there is room. */
  readonly aside: string
  /** Said after that in any case. */
  readonly detail: string
  /** Of a catch-up that knows its length, from 0 to 1. */
  readonly progress: number | null
  /** What a screen reader is told when it changes: no figures that tick. */
  readonly said: string
}

const number = new Intl.NumberFormat()
const edits = (count: number): string => `${number.format(count)} ${count === 1 ? "edit" : "edits"} waiting`

export const pillOf = (status: Status, now: number): Pill => {
  switch (status.kind) {
    case "live":
      return { tone: "good", text: "Live", aside: "", detail: status.latencyMs === null ? "" : ` · ${number.format(Math.max(1, Math.round(status.latencyMs)))} ms`, progress: null, said: "Live" }
    case "catching-up": {
      const known = status.of > 0
      return { tone: "busy", text: "Catching up", aside: "", detail: known ? ` ${number.format(status.done)} of ${number.format(status.of)}` : "", progress: known ? Math.min(1, status.done / status.of) : null, said: "Catching up" }
    }
    case "connecting":
      return { tone: "busy", text: "Connecting", aside: "", detail: "", progress: null, said: "Connecting" }
    case "offline": {
      const waiting = status.waiting > 0 ? edits(status.waiting) : null
      return {
        tone: "warn", text: "Offline", aside: ` since ${clockTime(status.since, now)}`, detail: waiting === null ? "" : ` · ${waiting}`, progress: null,
        said: waiting === null ? "Offline" : `Offline, ${waiting}`,
      }
    }
    case "signed-out":
      return { tone: "bad", text: "Signed out", aside: "", detail: "", progress: null, said: "Signed out" }
  }
}
