/** The last word of the replica on what was lost or gained. components/sync/tell-news.ts says it. */
import { defineStore } from "pinia"
import { shallowRef } from "vue"
import type { Notice } from "../data/news.ts"

export const useNews = defineStore("news", () => ({ notice: shallowRef<Notice | null>(null) }))
