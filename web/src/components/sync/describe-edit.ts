/** Edits and their values in words: for the list of what waits and for the choice between two values. */
import type { Person } from "../../stores/workspace.ts"
import type { EditedCode } from "../../data/entities.ts"
import { STATUSES } from "../board/statuses.ts"
import { dayOf } from "../ui/relative-time.ts"

const FIELDS: Readonly<Record<string, string>> = {
  title: "Title", description: "Description", status: "Status", assignee: "Assignee", due: "Due", labels: "Labels", position: "Place", body: "Comment", name: "Name", color: "Colour",
}
export const fieldName = (field: string): string => FIELDS[field] ?? field.charAt(0).toUpperCase() + field.slice(1).replaceAll("_", " ")

/** Fields a person can meaningfully merge by writing. */
export const isText = (field: string): boolean => field === "title" || field === "description" || field === "body"

/** A value as a person reads it. */
export const valueWords = (field: string, value: unknown, person: (id: string) => Person): string => {
  if (value === null || value === undefined || value === "") return field === "assignee" ? "Nobody" : field === "due" ? "No date" : "Empty"
  if (field === "status") return STATUSES.find((s) => s.id === value)?.name ?? String(value)
  if (field === "assignee" || field === "author") return person(String(value)).name
  if (field === "due") return new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(dayOf(String(value)))
  if (field === "position") return "Another place in the column"
  if (Array.isArray(value)) return value.length === 0 ? "None" : value.join(", ")
  return typeof value === "string" ? value : JSON.stringify(value)
}

const NOUNS: Readonly<Record<EditedCode, string>> = { task: "task", project: "project", comment: "comment", person: "person", file: "file" }

/** What of an edit is said. */
export interface SaidEdit {
  readonly entity: string
  readonly op: "create" | "update" | "delete"
  readonly data: Readonly<Record<string, unknown>>
}

/** "Moved to Done", "New task", "Title, due". */
export const editWords = (edit: SaidEdit): string => {
  const noun = NOUNS[edit.entity as EditedCode] ?? edit.entity
  if (edit.op === "create") return `New ${noun}`
  if (edit.op === "delete") return `Deleted the ${noun}`
  const fields = Object.keys(edit.data)
  if (fields.includes("status")) {
    const to = STATUSES.find((s) => s.id === edit.data["status"])?.name ?? String(edit.data["status"])
    return `Moved to ${to}`
  }
  if (fields.length === 1 && fields[0] === "position") return "Moved within its column"
  return fields.filter((field) => field !== "position").map(fieldName).join(", ")
}
