/** Whether a media query holds, as a ref. */
import { onScopeDispose, readonly, ref, type Ref } from "vue"

export const useMedia = (query: string): Readonly<Ref<boolean>> => {
  const list = matchMedia(query)
  const matches = ref(list.matches)
  const follow = (): void => {
    matches.value = list.matches
  }
  list.addEventListener("change", follow)
  onScopeDispose(() => list.removeEventListener("change", follow))
  return readonly(matches)
}

/** Below this the sidebar is a sheet. Also in Workspace.vue and TopBar.vue, since CSS knows no variables there. */
export const NARROW = "(max-width: 999px)"
/** Below this a task takes the whole screen. Also in TaskDrawer.vue. */
export const SMALL = "(max-width: 699px)"
