/** What a screen reader is told beside what it reads: moves, deletions, how the connection stands. `App.vue` holds the live region. */
import { defineStore } from "pinia"
import { ref } from "vue"

export const useAnnouncer = defineStore("announcer", () => {
  const text = ref("")
  /** Says it once, politely. The same words twice in a row are said twice: a no-break space tells them apart. */
  const say = (words: string): void => {
    text.value = text.value === words ? `${words}\u00a0` : words
  }
  return { text, say }
})
