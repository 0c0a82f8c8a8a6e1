/**
 * Unsent text: what somebody typed and did not save survives a closed tab, a crash, a navigation.
 *
 *     const draft = useDraft("task", () => id, "description")     // draft.value: text or null
 *     <textarea :value="draft ?? doc.row.description" @input="draft = $event.target.value">      on save: update(…); draft = null
 */
import { computed, onScopeDispose, shallowRef, watch } from "vue"
import type { WritableComputedRef } from "vue"
import { draftKey } from "../sync/store.ts"
import type { EditedCode } from "./entities.ts"
import { current } from "./replica.ts"

/** The draft of one field, null where there is none. Setting null drops it. */
export const useDraft = (entity: EditedCode, id: () => string | null | undefined, field: string): WritableComputedRef<string | null> => {
  const text = shallowRef<string | null>(null)
  let stop = (): void => {}
  watch(
    [current, () => id() ?? null],
    ([now, wanted]) => {
      stop()
      const key = wanted === null ? null : draftKey(entity, wanted, field)
      const read = (): string | null => (key === null ? null : (now?.replica.store.drafts.get(key)?.value ?? null))
      text.value = read()
      stop = now?.replica.store.listen((change) => void (key !== null && change.drafts.includes(key) && (text.value = read()))) ?? (() => {})
    },
    { immediate: true, flush: "sync" },
  )
  onScopeDispose(() => stop())
  return computed({
    get: () => text.value,
    set: (value) => {
      const wanted = id() ?? null
      const store = current.value?.replica.store
      if (wanted === null || store === undefined) return
      const key = draftKey(entity, wanted, field)
      const scope = current.value?.views.of(entity).docs.get(wanted)?.scope ?? null
      void (value === null
        ? store.writeDrafts([], [key])
        : store.writeDrafts([{ key, entity, entityId: wanted, scope, field, value, at: Date.now() }], []))
    },
  })
}
