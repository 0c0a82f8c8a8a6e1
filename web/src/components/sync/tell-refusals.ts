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

/** Milliseconds within which a revocation that was in the way of an edit has arrived too. */
const LOSS_MS = 600

export const tellRefusals = (): void => {
  const sync = useSync()
  const toasts = useToasts()
  const overlays = useOverlays()
  let waiting: ReadonlySet<string> = new Set()
  /** The toast of each edit that is still to be settled. */
  const told = new Map<string, number>()
  const hush = (id: string): void => {
    const toast = told.get(id)
    told.delete(id)
    if (toast !== undefined) toasts.close(toast)
  }

  const subject = (edit: StoredEdit): string => {
    const title = useWorkspace().tasks.find((task) => task.id === (edit.entity === "task" ? edit.entityId : edit.data["task_id"]))?.row.title
    return title === undefined ? "this" : `“${title}”`
  }
  const tell = (edit: StoredEdit): void => {
    if (edit.state === "waiting" || edit.state === "applied") return
    if (edit.state !== "denied") return void told.set(edit.id, say(edit))
    // It may be the first sign of a loss: then the edit goes in a moment, and tell-news.ts has better words.
    setTimeout(() => {
      const now = sync.waitingEdits.find((one) => one.id === edit.id)
      if (now?.state === "denied" && !told.has(edit.id)) told.set(edit.id, say(now))
    }, LOSS_MS)
  }
  const say = (edit: StoredEdit): number => {
    const takeBack = { label: UNDO, press: () => sync.discard(edit.id) }
    if (edit.state === "denied" && edit.op === "create" && edit.entity === "project") return toasts.show("You may not start projects here.", { kind: "bad", button: takeBack })
    if (edit.state === "denied") return toasts.show(`You may look at ${subject(edit)}, but not change it.`, { kind: "bad", button: takeBack })
    if (edit.state === "invalid") return toasts.show(edit.message ?? "The server could not take this.", { kind: "bad", button: takeBack })
    return toasts.show(`Somebody else changed ${subject(edit)} too.`, { button: { label: "Choose", press: () => (overlays.choosing = edit.id) } })
  }

  watch(() => sync.waitingEdits, (edits) => {
    for (const edit of edits) if (waiting.has(edit.id)) tell(edit)
    for (const id of told.keys()) if (!edits.some((edit) => edit.id === id)) hush(id)
    waiting = new Set(edits.filter((edit) => edit.state === "waiting").map((edit) => edit.id))
  })
  watch(() => overlays.choosing, (id) => id !== null && hush(id))
}
