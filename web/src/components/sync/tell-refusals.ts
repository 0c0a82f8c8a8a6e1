/**
 * Says, kindly and at once, that the server did not take an edit that was just made here. The mark on the card stays until somebody
 * settles it; this is for the eye that is on the board now. What was refused before the page was opened is not news.
 */
import { watch } from "vue"
import type { StoredEdit } from "../../sync/store.ts"
import { useOverlays } from "../../stores/overlays.ts"
import { useSync } from "../../stores/sync.ts"
import { UNDO, useToasts } from "../../stores/toasts.ts"
import { useWorkspace } from "../../stores/workspace.ts"

export const tellRefusals = (): void => {
  const sync = useSync()
  const toasts = useToasts()
  const overlays = useOverlays()
  let waiting: ReadonlySet<string> = new Set()

  const subject = (edit: StoredEdit): string => {
    const title = useWorkspace().tasks.find((task) => task.id === (edit.entity === "task" ? edit.entityId : edit.data["task_id"]))?.row.title
    return title === undefined ? "this" : `“${title}”`
  }
  const tell = (edit: StoredEdit): void => {
    const takeBack = { label: UNDO, press: () => sync.discard(edit.id) }
    if (edit.state === "denied") toasts.show(`You may look at ${subject(edit)}, but not change it.`, { kind: "bad", button: takeBack })
    else if (edit.state === "invalid") toasts.show(edit.message ?? "The server could not take this.", { kind: "bad", button: takeBack })
    else if (edit.state === "conflict") toasts.show(`Somebody else changed ${subject(edit)} too.`, { button: { label: "Choose", press: () => (overlays.choosing = edit.id) } })
  }

  watch(() => sync.waitingEdits, (edits) => {
    for (const edit of edits) if (waiting.has(edit.id)) tell(edit)
    waiting = new Set(edits.filter((edit) => edit.state === "waiting").map((edit) => edit.id))
  })
}
