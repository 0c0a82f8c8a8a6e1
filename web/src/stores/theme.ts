/** Light, dark, or as the system says. The choice lives in localStorage; `data-theme` on the document carries it to the tokens. */
import { defineStore } from "pinia"
import { ref, watch } from "vue"

export const THEMES = ["system", "light", "dark"] as const
export type Theme = (typeof THEMES)[number]

const KEY = "tideline.theme"
const isTheme = (x: unknown): x is Theme => THEMES.includes(x as Theme)

export const useTheme = defineStore("theme", () => {
  const saved = localStorage.getItem(KEY)
  const theme = ref<Theme>(isTheme(saved) ? saved : "system")
  watch(theme, (chosen) => {
    if (chosen === "system") delete document.documentElement.dataset["theme"]
    else document.documentElement.dataset["theme"] = chosen
    localStorage.setItem(KEY, chosen)
  }, { immediate: true })
  return { theme }
})
