/** Which of the app's own overlays is open: one at a time. */
import { defineStore } from "pinia"
import { ref } from "vue"

export type Overlay = "help" | "palette" | "sidebar" | "share" | "new-project" | null

export const useOverlays = defineStore("overlays", () => {
  const open = ref<Overlay>(null)
  /** The edit whose choice between two values is shown, by its id. */
  const choosing = ref<string | null>(null)
  /** Grows each time somebody asks for a new task away from the board; the board listens. */
  const newTask = ref(0)
  return { open, choosing, newTask }
})
