/** How the state of an own edit is said to people. */
import type { DocEdit } from "../../data/doc.ts"

export const EDIT_WORDS: Readonly<Record<DocEdit["state"], string>> = {
  waiting: "Kept on this device, sent as soon as the server answers",
  sending: "On its way",
  conflict: "Somebody changed the same thing: choose which stays",
  denied: "You may look at this, but not change it",
  invalid: "The server could not take this",
}
