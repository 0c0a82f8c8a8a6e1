/** Listens for keys on the whole page and says which command they are. What floats above the page (dialogs, menus) keeps its keys to itself. */
import { onScopeDispose } from "vue"
import { commandOf, type Command } from "./keys.ts"

const TYPING = 'input:not([type="checkbox"], [type="radio"], [type="button"]), textarea, select, [contenteditable="true"]'
const ABOVE = '[role="dialog"]:not([data-beside]), [role="alertdialog"], [role="menu"], [role="listbox"]'

/** `handle` returns true where it took the command: the key then does nothing else. */
export const useKeys = (handle: (command: Command, event: KeyboardEvent) => boolean): void => {
  const listen = (event: KeyboardEvent): void => {
    const target = event.target instanceof Element ? event.target : null
    if (event.defaultPrevented || event.isComposing || target?.closest(ABOVE)) return
    const command = commandOf(event, target?.matches(TYPING) ?? false)
    if (command !== null && handle(command, event)) event.preventDefault()
  }
  addEventListener("keydown", listen)
  onScopeDispose(() => removeEventListener("keydown", listen))
}
