/** A query over one view, kept up to date: pure but for the memory of its last result. */
import type { Entities, EntityCode } from "./entities.ts"
import type { Doc } from "./doc.ts"
import type { View } from "./view.ts"

export interface Query<E extends EntityCode> {
  /** Only this scope. */
  readonly scope?: string | null | undefined
  /** Columns that must have these values, or a test. */
  readonly where?: Partial<Entities[E]> | ((doc: Doc<E>) => boolean) | undefined
  /** A column, ascending, or a comparison. Ties, and no sort at all: by id. */
  readonly sort?: (keyof Entities[E] & string) | ((a: Doc<E>, b: Doc<E>) => number) | undefined
}

/** Beyond this share of a result changed at once, sorting it anew is cheaper than moving each. */
const FEW = 0.1

export interface RunningQuery<E extends EntityCode> {
  readonly rows: ReadonlyArray<Doc<E>>
  /** The result after these ids changed; the same array where it is the same result. */
  readonly update: (ids: ReadonlySet<string>) => ReadonlyArray<Doc<E>>
}

export const runQuery = <E extends EntityCode>(view: View, query: Query<E>): RunningQuery<E> => {
  const matches = matcher(query)
  const compare = comparer(query)
  const all = (): ReadonlyArray<Doc<E>> => {
    const rows: Array<Doc<E>> = []
    const scope = query.scope ?? null
    if (scope === null) {
      for (const doc of view.docs.values()) if (matches(doc as Doc<E>)) rows.push(doc as Doc<E>)
    } else {
      for (const id of view.inScope(scope)) {
        const doc = view.docs.get(id) as Doc<E> | undefined
        if (doc !== undefined && matches(doc)) rows.push(doc)
      }
    }
    return rows.sort(compare)
  }
  let rows = all()
  return {
    get rows() {
      return rows
    },
    update: (ids) => {
      const inside = rows.some((doc) => ids.has(doc.id))
      const now: Array<Doc<E>> = []
      for (const id of ids) {
        const doc = view.docs.get(id) as Doc<E> | undefined
        if (doc !== undefined && matches(doc)) now.push(doc)
      }
      if (!inside && now.length === 0) return rows
      if (now.length > 16 && now.length > rows.length * FEW) return (rows = all())
      const next = rows.filter((doc) => !ids.has(doc.id))
      for (const doc of now) next.splice(placeOf(next, doc, compare), 0, doc)
      return (rows = next)
    },
  }
}

const matcher = <E extends EntityCode>({ scope = null, where }: Query<E>): ((doc: Doc<E>) => boolean) => {
  const inScope = (doc: Doc<E>): boolean => scope === null || doc.scope === scope
  if (where === undefined) return inScope
  if (typeof where === "function") return (doc) => inScope(doc) && where(doc)
  const wanted = Object.entries(where)
  return (doc) => inScope(doc) && wanted.every(([column, value]) => (doc.row as unknown as Record<string, unknown>)[column] === value)
}

const comparer = <E extends EntityCode>({ sort }: Query<E>): ((a: Doc<E>, b: Doc<E>) => number) => {
  const byId = (a: Doc<E>, b: Doc<E>): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
  if (sort === undefined) return byId
  if (typeof sort === "function") return (a, b) => sort(a, b) || byId(a, b)
  return (a, b) => order(a.row[sort] ?? null, b.row[sort] ?? null) || byId(a, b)
}

/** Numbers and text by their order; what is missing stands last. */
const order = (a: unknown, b: unknown): number =>
  a === b ? 0 : a === null ? 1 : b === null ? -1 : (a as string) < (b as string) ? -1 : 1

const placeOf = <T>(sorted: ReadonlyArray<T>, item: T, compare: (a: T, b: T) => number): number => {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compare(sorted[middle]!, item) < 0) low = middle + 1
    else high = middle
  }
  return low
}
