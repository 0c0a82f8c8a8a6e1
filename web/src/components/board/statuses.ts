/** The four columns of a board, in their order. */
import { Circle, CircleCheck, CircleDashed, CircleDot } from "@lucide/vue"

export const STATUSES = [
  { id: "todo", name: "To do", icon: CircleDashed, key: "1" },
  { id: "doing", name: "In progress", icon: Circle, key: "2" },
  { id: "review", name: "Review", icon: CircleDot, key: "3" },
  { id: "done", name: "Done", icon: CircleCheck, key: "4" },
] as const
export type StatusEntry = (typeof STATUSES)[number]
export type Status = StatusEntry["id"]

/** The column of a status; a status this version does not know stands in the first one, so that its task is not lost from sight. */
export const statusEntry = (status: string): StatusEntry => STATUSES.find((s) => s.id === status) ?? STATUSES[0]
