/** What is wanted by several parties, as one subscription an entity type: the widest of what each wants. */
import type { Wanted } from "./replica.ts"

export interface Wants {
  /** One entry an entity type, in the order of their codes. */
  readonly asked: () => ReadonlyArray<Wanted>
  /** Returns what takes it back. */
  readonly add: (wanted: ReadonlyArray<Wanted>) => () => void
}

/** `onChange` is told when what they come to is something else. */
export const createWants = (always: ReadonlyArray<Wanted>, onChange: (asked: ReadonlyArray<Wanted>) => void): Wants => {
  const all = new Set<ReadonlyArray<Wanted>>([always])
  let asked = union([...all].flat())
  const look = (): void => {
    const next = union([...all].flat())
    if (JSON.stringify(next) === JSON.stringify(asked)) return
    asked = next
    onChange(asked)
  }
  return {
    asked: () => asked,
    add: (wanted) => {
      const own = [...wanted]
      all.add(own)
      look()
      return () => {
        if (all.delete(own)) look()
      }
    },
  }
}

/** Scopes are joined with scopes; where one wants a whole type, or ids, which do not add up with scopes, the whole type is asked for. */
export const union = (wanted: ReadonlyArray<Wanted>): ReadonlyArray<Wanted> => {
  const byEntity = new Map<string, Wanted>()
  for (const one of wanted) {
    const other = byEntity.get(one.entityCode)
    byEntity.set(one.entityCode, other === undefined ? one : join(other, one))
  }
  return [...byEntity.values()].sort((a, b) => (a.entityCode < b.entityCode ? -1 : 1))
}

const join = (a: Wanted, b: Wanted): Wanted => {
  const { entityCode } = a
  const onlyScopes = a.entityIds === undefined && b.entityIds === undefined && a.scopes !== undefined && b.scopes !== undefined
  const onlyIds = a.scopes === undefined && b.scopes === undefined && a.entityIds !== undefined && b.entityIds !== undefined
  if (onlyScopes) return { entityCode, scopes: sorted([...a.scopes!, ...b.scopes!]) }
  if (onlyIds) return { entityCode, entityIds: sorted([...a.entityIds!, ...b.entityIds!]) }
  return JSON.stringify(a) === JSON.stringify(b) ? a : { entityCode }
}

const sorted = (texts: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(texts)].sort()
