/** Which of the app's own overlays is open: one at a time. */
import { defineStore } from "pinia"
import { ref } from "vue"

export type Overlay = "help" | "palette" | "sidebar" | null

export const useOverlays = defineStore("overlays", () => {
  const open = ref<Overlay>(null)
  /** The edit whose choice between two values is shown, by its id. */
  const choosing = ref<string | null>(null)
  return { open, choosing }
})
