/** The truth in the corner, and the edits that wait: what the status pill, its list and the conflict choice are made of. */
import { defineStore } from "pinia"
import { computed, ref, shallowRef, watch } from "vue"
import { current } from "../data/replica.ts"
import type { Resolution } from "../sync/replica.ts"
import type { Status } from "../sync/status.ts"
import type { StoredEdit } from "../sync/store.ts"

export const useSync = defineStore("sync", () => {
  const status = shallowRef<Status>({ kind: "signed-out" })
  const waitingEdits = shallowRef<ReadonlyArray<StoredEdit>>([])
  /** True until this device has had all of it once: the only time for skeletons. */
  const firstVisit = ref(false)
  /** When the server was last in step with this page (milliseconds since 1970), or null. */
  const lastLive = ref<number | null>(null)

  watch(
    current,
    (now, _, onCleanup) => {
      if (now === null) {
        status.value = { kind: "signed-out" }
        waitingEdits.value = []
        return
      }
      const { store, status$ } = now.replica
      const list = (): void => {
        waitingEdits.value = [...store.edits.values()].filter((edit) => edit.state !== "applied").sort((a, b) => (a.id < b.id ? -1 : 1))
      }
      firstVisit.value = store.docs.size === 0
      const following = status$.subscribe((next) => {
        status.value = next
        if (next.kind !== "live") return
        firstVisit.value = false
        lastLive.value = Date.now()
      })
      const stop = store.listen((change) => void (change.edits.length > 0 && list()))
      list()
      onCleanup(() => {
        following.unsubscribe()
        stop()
      })
    },
    { immediate: true, flush: "sync" },
  )

  /** What is not there may come yet: nobody need be told that it is gone. */
  const settling = computed(() => status.value.kind === "catching-up" || (status.value.kind === "live" && status.value.settling === true))

  const replica = computed(() => current.value?.replica ?? null)
  return {
    status,
    /** Edits that the server has not applied, oldest first. */
    waitingEdits,
    firstVisit,
    settling,
    lastLive,
    /** Sends a denied, invalid or clashing edit again as it is. */
    retry: (id: string): void => replica.value?.retry(id),
    /** Takes an edit back. */
    discard: (id: string): void => replica.value?.discard(id),
    /** Settles a conflict. */
    resolve: (id: string, how: Resolution): void => replica.value?.resolve(id, how),
    /** Connects now, without waiting for the back-off. */
    hurry: (): void => replica.value?.hurry(),
  }
})
