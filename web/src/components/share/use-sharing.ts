/**
 * Who has access to a project, and changes of it: asked of authz, since grants themselves come only to administrators. What is listed is what it
 * answered last; a change shows as under way until an answer has it. Asked again after each change, when somebody comes back to the page, and every few
 * seconds while the dialog is open: others change things too, and grants run out.
 */
import { computed, onScopeDispose, type ComputedRef, type Ref } from "vue"
import type { AccessChange } from "#protocol/access-change.ts"
import type { Holder } from "#protocol/explain.ts"
import { AccessError, explain } from "../../data/access.ts"
import { useAccessChanges, type Wish } from "../../stores/access-changes.ts"
import { useSession } from "../../stores/session.ts"
import { inverse, isDone } from "../access/changes.ts"
import { useExplanation } from "../access/use-explanation.ts"
import { rowsOf } from "./holders.ts"

export interface Sharing {
  /** Null: not known yet. Nobody: one may not share it any more. */
  readonly holders: ComputedRef<ReadonlyArray<Holder> | null>
  readonly problem: Ref<string | null>
  /** The next page; null: there is none. */
  readonly more: ComputedRef<(() => Promise<void>) | null>
  /** Whether the change came about. `words`: as it is told when it is done. */
  readonly change: (wish: OnGrant, words: string) => Promise<boolean>
}
type OnGrant = Extract<Wish, { readonly principal: string }>

/** Milliseconds between two questions while the list is looked at. */
const AGAIN_MS = 8_000
/** Milliseconds before authz is asked again for a change that it does not know yet, and how often. */
const SEEN_MS = 120
const SEEN_TRIES = 80

export const useSharing = (project: string): Sharing => {
  const session = useSession()
  const changes = useAccessChanges()
  const { reply, problem, more, again } = useExplanation(() => ({ scope: project }))

  const look = (): void => {
    if (!document.hidden) void again()
  }
  const timer = setInterval(look, AGAIN_MS)
  addEventListener("focus", look)
  let gone = false
  onScopeDispose(() => {
    gone = true
    clearInterval(timer)
    removeEventListener("focus", look)
  })

  /** What the principal holds here now. Holders come in the order of their names. */
  const heldBy = async (principal: string): Promise<ReadonlyArray<Holder>> => {
    for (let after: string | null = null; ; ) {
      if (session.token === null) return []
      const page = await explain(session.token, { scope: project }, after)
      const found = page.holders.filter((holder) => holder.principal === principal)
      if (found.length > 0 || page.next === null || page.holders.at(-1)!.principal > principal) return found
      after = page.next
    }
  }
  const seen = async (change: AccessChange): Promise<void> => {
    if (change.type !== "grant" && change.type !== "revoke") return
    for (let tries = 0; !isDone(change, { grants: rowsOf(await heldBy(change.principal)), members: [] }); tries++) {
      if (tries === SEEN_TRIES) throw new AccessError("The server took the change, and it does not show yet. Look again in a moment.")
      await new Promise((resolve) => setTimeout(resolve, SEEN_MS))
    }
    if (!gone) await again()
  }

  return {
    holders: computed(() => reply.value?.holders ?? null),
    problem,
    more: computed(() => ((reply.value?.next ?? null) === null ? null : more)),
    change: (wish, words) => {
      const change = { ...wish, id: crypto.randomUUID() } as AccessChange
      const held = { grants: rowsOf(reply.value?.holders ?? []), members: [] }
      return changes.submit(change, { words, undo: inverse(change, held, crypto.randomUUID()), seen })
    },
  }
}
