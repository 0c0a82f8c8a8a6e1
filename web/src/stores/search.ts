/** What stands in the search field; the view in the middle shows what matches. */
import { defineStore } from "pinia"
import { computed, ref } from "vue"

export const useSearch = defineStore("search", () => {
  const text = ref("")
  const words = computed(() => text.value.toLowerCase().split(/\s+/).filter((word) => word !== ""))
  /** Whether every word stands somewhere in `where`. No words: everything matches. */
  const matches = (where: string): boolean => {
    const low = where.toLowerCase()
    return words.value.every((word) => low.includes(word))
  }
  return { text, words, matches }
})
