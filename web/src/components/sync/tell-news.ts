/** Says once, calmly, what was lost and what was gained. What a screen reader was told before may name what is gone: it is wiped. */
import { watch } from "vue"
import { useRoute } from "vue-router"
import { useAnnouncer } from "../../stores/announcer.ts"
import { useNews } from "../../stores/news.ts"
import { useToasts } from "../../stores/toasts.ts"
import { newsWords } from "./news-words.ts"

export const tellNews = (): void => {
  const news = useNews()
  const toasts = useToasts()
  const announcer = useAnnouncer()
  const route = useRoute()
  /** Before the drawer of what is gone closes: that is what the words may be about. */
  watch(() => news.notice, (notice) => {
    if (notice === null) return
    news.notice = null
    if (notice.lostCount + notice.gone.length > 0) announcer.text = ""
    const words = newsWords(notice, route.name === "task" ? String(route.params["task"]) : null)
    if (words !== null) toasts.show(words)
  }, { flush: "sync" })
}
