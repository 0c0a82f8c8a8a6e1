/** An answer of authz that follows what changes: asked again when the question changes, or when `changed` does. One question at a time. */
import { onScopeDispose, ref, shallowRef, watch } from "vue"
import type { Ref, ShallowRef } from "vue"
import type { ExplainReply } from "#protocol/explain.ts"
import { explain, explainSince, type Question } from "../../data/access.ts"
import { current } from "../../data/replica.ts"
import { useSession } from "../../stores/session.ts"

export interface Explanation {
  /** The last answer to this question; null: none yet. */
  readonly reply: ShallowRef<ExplainReply | null>
  /** Why there is no newer one: for people. */
  readonly problem: Ref<string | null>
  /** The next page, added to what is there. */
  readonly more: () => Promise<void>
  /** Asks once more. Resolves when the answer is there. */
  readonly again: () => Promise<void>
}

export const useExplanation = (question: () => Question | null, changed: () => unknown = () => 0): Explanation => {
  const session = useSession()
  const reply = shallowRef<ExplainReply | null>(null)
  const problem = ref<string | null>(null)
  let asked = 0
  let pages = 1

  const ask = async (): Promise<void> => {
    const mine = ++asked
    const wanted = question()
    const { token } = session
    if (wanted === null || token === null) return
    try {
      let all = await explainSince(token, current.value?.replica.position() ?? 0, wanted, undefined, () => mine === asked)
      if (mine !== asked) return
      for (let page = 1; page < pages && all.next !== null; page++) {
        const next = await explain(token, wanted, all.next)
        if (mine !== asked) return
        all = { ...next, grants: [...all.grants, ...next.grants], holders: [...all.holders, ...next.holders] }
      }
      reply.value = all
      problem.value = null
    } catch (error) {
      if (mine === asked) problem.value = error instanceof Error ? error.message : String(error)
    }
  }

  watch(() => JSON.stringify(question()), () => {
    pages = 1
    reply.value = null
    problem.value = null
    void ask()
  }, { immediate: true })
  watch(changed, () => void ask())
  onScopeDispose(() => (asked = -1))

  return {
    reply,
    problem,
    more: async () => {
      pages += 1
      await ask()
    },
    again: ask,
  }
}
