/** One clock for the page: a ref that ticks twice a minute while anybody looks at it, and at once when the tab comes back. */
import { onScopeDispose, readonly, ref, type Ref } from "vue"

const TICK_MS = 30_000
const now = ref(Date.now())
let watchers = 0
let timer: ReturnType<typeof setInterval> | undefined

const tick = (): void => {
  now.value = Date.now()
}

/** Milliseconds since 1970, good to half a minute. */
export const useNow = (): Readonly<Ref<number>> => {
  if (watchers++ === 0) {
    tick()
    timer = setInterval(tick, TICK_MS)
    document.addEventListener("visibilitychange", tick)
  }
  onScopeDispose(() => {
    if (--watchers > 0) return
    clearInterval(timer)
    document.removeEventListener("visibilitychange", tick)
  })
  return readonly(now)
}
