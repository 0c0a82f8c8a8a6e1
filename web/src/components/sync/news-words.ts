/** How a loss or a gain is said to people: what they knew by its name, and what of their own work went with it. Nothing else. */
import type { Notice } from "../../data/news.ts"

/** Null: nothing this tab need say. `open`: the id of the task that stands open here. */
export const newsWords = (notice: Notice, open: string | null): string | null => {
  const { lost, lostKind, lostCount, gone, gained } = notice
  const removed = removedWords(notice)
  const gain = gained.length > 0 ? `${list(gained)} ${gained.length === 1 ? "is" : "are"} now shared with you` : null
  const projects = gone.filter((one) => one.kind === "project")
  // Beyond two, words would be a guess at which of them it was about.
  const told = projects.length > 0 ? projects : gone.length > 2 ? [] : gone
  const shown = removed === null ? gone.filter((one) => one.id === open) : told
  const loss =
    lostCount > 0
      ? `You no longer have access to ${lostKind === "project" ? list(lost) : lostCount === 1 ? `“${lost[0]}”` : `${lostCount} tasks`}`
      : shown.length > 0
        ? `${list(shown.map(({ name, kind }) => (kind === "project" ? name : `“${name}”`)))} ${shown.length === 1 ? "is" : "are"} no longer here`
        : removed === null
          ? null
          : "What you were working on is no longer here"
  const parts = [...(loss === null ? [] : [removed === null ? loss : `${loss}; ${removed}`]), ...(gain === null ? [] : [gain])]
  return parts.length === 0 ? null : `${parts.join(". ")}.`
}

const removedWords = ({ edits, drafts }: Notice): string | null => {
  const parts = [...(edits > 0 ? [counted(edits, "edit")] : []), ...(drafts > 0 ? [counted(drafts, "draft")] : [])]
  if (parts.length === 0) return null
  return `${parts.join(" and ")} ${edits + drafts === 1 ? "was" : "were"} removed`
}
const counted = (count: number, what: "edit" | "draft"): string => (count === 1 ? (what === "edit" ? "an edit" : "a draft") : `${count} ${what}s`)

/** Names beyond the second are a number. */
const list = (names: ReadonlyArray<string>): string =>
  names.length <= 2 ? names.join(" and ") : `${names[0]}, ${names[1]} and ${names.length - 2} more`
