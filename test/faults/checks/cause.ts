import type { Commit } from "../../../demo/history/commits.ts"
import type { Check } from "./check.ts"
import { changes } from "./pair.ts"

interface Link {
  readonly id: number
  readonly v: number
  readonly cause_id: number | null
  readonly cause_v: number | null
}

/** Three ways to know what came before what: what a writer had read; what it had committed before; the order of the history's commits. */
export const cause = (history: ReadonlyArray<Commit>): Check => ({
  name: "cause",
  promise: "a cause is in the stream before its effects: what was read, and what the same writer had committed",
  begin: () => {
    const versions = new Map<number, number>()
    const sessions = new Map<string, number>()
    const places = new Map(history.map(({ commit }, i) => [commit, i]))
    let played = -1
    let begins = true
    return ({ messages }, { shortened }) => {
      // Versions from before the stream's beginning are known to STATE alone.
      if (shortened) begins = false
      const wrong: Array<string> = []
      for (const { seq, address, body, mutation, operation } of changes(messages)) {
        if (mutation !== null) {
          const [writer, number] = mutation.split(":") as [string, string]
          const before = sessions.get(writer) ?? 0
          if (Number(number) < before) wrong.push(`message ${seq}: ${mutation} follows ${writer}:${before}`)
          sessions.set(writer, Number(number))
        }
        if (address.entity === "chain" && operation === "UPDATE") {
          const { id, v, cause_id, cause_v } = JSON.parse(body) as Link
          if (cause_id !== null && (begins || versions.has(cause_id)) && (versions.get(cause_id) ?? 0) < cause_v!)
            wrong.push(`message ${seq}: the writer of chain ${id} had read version ${cause_v} of chain ${cause_id}, the stream has ${versions.get(cause_id) ?? 0} of it before`)
          versions.set(id, v)
        }
        if (address.entity === "file") {
          // Everything is deleted where the history begins again.
          const place = body === "" ? null : places.get((JSON.parse(body) as { last_commit: string }).last_commit)!
          if (place !== null && place < played && place > 0) wrong.push(`message ${seq}: commit ${place + 1} follows commit ${played + 1}`)
          played = place ?? played
        }
      }
      return wrong
    }
  },
})
