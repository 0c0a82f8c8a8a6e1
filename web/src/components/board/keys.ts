/** Which key means what on the board. Pure, so that one table serves the listener, the help dialog and the tests. */
import { isArrow, type Arrow } from "./navigate.ts"
import { STATUSES, type Status } from "./statuses.ts"

export type Command =
  | { readonly do: "create" | "search" | "open" | "close" | "help" | "palette" | "undo" | "delete" | "menu" }
  | { readonly do: "go"; readonly arrow: Arrow }
  | { readonly do: "shift"; readonly arrow: Arrow }
  | { readonly do: "move"; readonly to: Status }

/** What of a KeyboardEvent matters. */
export interface Pressed {
  readonly key: string
  readonly ctrlKey: boolean
  readonly metaKey: boolean
  readonly altKey: boolean
  readonly shiftKey: boolean
}

/** The command of a key press, or null. `typing`: the focus is where letters go into a text. */
export const commandOf = (pressed: Pressed, typing: boolean): Command | null => {
  const { key, altKey } = pressed
  const control = pressed.ctrlKey || pressed.metaKey
  if (control && key.toLowerCase() === "k") return { do: "palette" }
  if (key === "Escape") return { do: "close" }
  if (typing) return null
  if (control) return key.toLowerCase() === "z" && !pressed.shiftKey ? { do: "undo" } : null
  if (isArrow(key)) return { do: altKey ? "shift" : "go", arrow: key }
  if (altKey) return null
  const status = STATUSES.find((s) => s.key === key)
  if (status !== undefined) return { do: "move", to: status.id }
  switch (key) {
    case "c": return { do: "create" }
    case "/": return { do: "search" }
    case "?": return { do: "help" }
    case "m": return { do: "menu" }
    case "Enter": return { do: "open" }
    case "Backspace":
    case "Delete": return { do: "delete" }
    default: return null
  }
}

export interface KeyHelp {
  readonly keys: ReadonlyArray<string>
  readonly does: string
}

/** The table that `?` shows. */
export const KEY_HELP: ReadonlyArray<{ readonly group: string; readonly keys: ReadonlyArray<KeyHelp> }> = [
  {
    group: "Anywhere",
    keys: [
      { keys: ["/"], does: "Search" },
      { keys: ["Ctrl", "K"], does: "Find a task, go to a project, do something" },
      { keys: ["Ctrl", "Z"], does: "Undo the deletion that was just announced" },
      { keys: ["Esc"], does: "Close what is open, stop what is being done" },
      { keys: ["?"], does: "This list" },
    ],
  },
  {
    group: "On the board",
    keys: [
      { keys: ["C"], does: "New task in the column you are in" },
      { keys: ["↑", "↓", "←", "→"], does: "Go from card to card" },
      { keys: ["Enter"], does: "Open the card" },
      { keys: ["1", "–", "4"], does: "Move it to To do, In progress, Review, Done" },
      { keys: ["Alt", "↑ ↓ ← →"], does: "Move it one place" },
      { keys: ["M"], does: "All there is to do with the card" },
      { keys: ["Del"], does: "Delete it (with undo)" },
    ],
  },
  {
    group: "While writing",
    keys: [
      { keys: ["Enter"], does: "Keep a title" },
      { keys: ["Ctrl", "Enter"], does: "Keep a description, send a comment" },
      { keys: ["Esc"], does: "Leave it as it was" },
    ],
  },
]
