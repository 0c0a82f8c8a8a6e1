/** The words and colour of the pill. Its first word is a promise to tests and screen readers: Live, Catching up, Connecting, Offline, Signed out. */
import type { Status } from "../../sync/status.ts"
import { clockTime } from "../ui/relative-time.ts"

export interface Pill {
  readonly tone: "good" | "busy" | "warn" | "bad"
  readonly text: string
  /** What goes where there is room. */
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
      return { tone: "good", text: "Live", detail: status.latencyMs === null ? "" : `${number.format(Math.max(1, Math.round(status.latencyMs)))} ms`, progress: null, said: "Live" }
    case "catching-up": {
      const known = status.of > 0
      return { tone: "busy", text: "Catching up", detail: known ? `${number.format(status.done)} of ${number.format(status.of)}` : "", progress: known ? Math.min(1, status.done / status.of) : null, said: "Catching up" }
    }
    case "connecting":
      return { tone: "busy", text: "Connecting", detail: "", progress: null, said: "Connecting" }
    case "offline": {
      const since = `Offline since ${clockTime(status.since, now)}`
      return { tone: "warn", text: since, detail: status.waiting > 0 ? edits(status.waiting) : "", progress: null, said: status.waiting > 0 ? `Offline, ${edits(status.waiting)}` : "Offline" }
    }
    case "signed-out":
      return { tone: "bad", text: "Signed out", detail: "", progress: null, said: "Signed out" }
  }
}
