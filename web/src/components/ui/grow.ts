/** `v-grow`: a textarea as high as its text. The browser does it where it can; elsewhere the height follows what is typed. */
import type { ObjectDirective } from "vue"

const native = typeof CSS !== "undefined" && CSS.supports("field-sizing", "content")

const fit = (area: HTMLTextAreaElement): void => {
  if (native) return
  area.style.height = "auto"
  area.style.height = `${area.scrollHeight}px`
}

export const vGrow: ObjectDirective<HTMLTextAreaElement> = {
  created: (area) => area.style.setProperty("field-sizing", "content"),
  mounted: fit,
  updated: fit,
}
