/**
 * A grant is a subject pattern, and so is a subscription: both say scope, entity and id, each one value or any. A view, what
 * a connection sees, is the subscriptions it asked for cut down to what its user was granted.
 */
import type { Address } from "./subject.ts"
import { isSystemEntity } from "./subject.ts"

/** Levels in ascending order: each includes those before it. */
export const LEVELS = ["VIEW", "EDIT", "SHARE", "DELETE", "CREATE", "OWNER"] as const
export type Level = (typeof LEVELS)[number]
export const levelAtLeast = (held: Level, needed: Level): boolean => LEVELS.indexOf(held) >= LEVELS.indexOf(needed)

/** Null is any. Any entity never means the log's own entities: those must be named. */
export interface Pattern {
  readonly scope: string | null
  readonly entity: string | null
  readonly id: string | null
}

/** A pattern of a view: always of one entity type. */
export interface ViewPattern extends Pattern {
  readonly entity: string
}

const part = (wide: string | null, narrow: string | null): boolean => wide === null || wide === narrow
const entityPart = (wide: string | null, narrow: string | null): boolean =>
  wide === narrow || (wide === null && narrow !== null && !isSystemEntity(narrow))

/** Whether every address that `narrow` matches is one that `wide` matches. */
export const covers = (wide: Pattern, narrow: Pattern): boolean =>
  part(wide.scope, narrow.scope) && entityPart(wide.entity, narrow.entity) && part(wide.id, narrow.id)

/** Whether the pattern matches the address. An entity without a scope is matched by any scope alone. */
export const matches = (pattern: Pattern, at: Address): boolean => covers(pattern, at)

const meet = (a: string | null, b: string | null): string | null | undefined =>
  a === null ? b : b === null || a === b ? a : undefined

/** The addresses both match, or null where there are none. */
export const intersect = (a: Pattern, b: Pattern): Pattern | null => {
  const scope = meet(a.scope, b.scope)
  const entity = meet(a.entity, b.entity)
  const id = meet(a.id, b.id)
  if (scope === undefined || entity === undefined || id === undefined) return null
  // The log's own must be named, and have no scope that a pattern could name.
  if (entity !== null && isSystemEntity(entity) && (a.entity !== b.entity || scope !== null)) return null
  return { scope, entity, id }
}

/** One key for a pattern or for an address: `\0` cannot stand in Postgres text, and any is not the same as empty. */
export const patternKey = (p: Pattern): string => `${keyPart(p.entity)}\0${keyPart(p.scope)}\0${keyPart(p.id)}`
const keyPart = (part: string | null): string => (part === null ? "" : `=${part}`)

/** The keys of the patterns of a view that match an address: what an index of views is asked with. */
export const viewKeys = (at: Address): ReadonlyArray<string> => {
  const { scope, entity, id } = at
  const any = [patternKey({ scope: null, entity, id: null }), patternKey({ scope: null, entity, id })]
  return scope === null ? any : [patternKey({ scope, entity, id: null }), patternKey({ scope, entity, id }), ...any]
}

/** A fixed order: by entity, scope and id, any first. */
export const patternOrder = (a: Pattern, b: Pattern): number => partOrder(a.entity, b.entity) || partOrder(a.scope, b.scope) || partOrder(a.id, b.id)
const partOrder = (a: string | null, b: string | null): number => (a === b ? 0 : a === null ? -1 : b === null ? 1 : a < b ? -1 : 1)

/** Without repeats and without what another covers, in `patternOrder`: linear where they come in order, in few runs or few. */
export const normalise = <P extends Pattern>(patterns: Iterable<P>): ReadonlyArray<P> => {
  const all = [...patterns]
  // What was normalised before, as most of it was, is in order.
  if (all.some((p, i) => i > 0 && patternOrder(all[i - 1]!, p) > 0)) all.sort(patternOrder)
  const wider = widerOnes(all)
  return all.filter((p, i) => (i === 0 || patternOrder(all[i - 1]!, p) !== 0) && !isCovered(p, wider))
}

const [ENTITY, SCOPE, ID] = [1, 2, 4] as const
/** Which parts are any, as bits. */
const anyParts = (p: Pattern): number => (p.entity === null ? ENTITY : 0) | (p.scope === null ? SCOPE : 0) | (p.id === null ? ID : 0)

/** Patterns in which the same parts are any, by those that are not: there are two at most. */
interface Wider {
  readonly any: number
  readonly named: Map<string, Set<string>>
}

/** Those that may cover another of them. Most views hold only scopes: then none does, and nothing is indexed. */
const widerOnes = (patterns: ReadonlyArray<Pattern>): ReadonlyArray<Wider> => {
  let kinds = 0
  for (const p of patterns) kinds |= 1 << anyParts(p)
  const wider: Array<Wider> = []
  for (let any = 1; any < 8; any++) if (hasKind(kinds, any) && narrowerKinds(any).some((kind) => hasKind(kinds, kind))) wider.push({ any, named: new Map() })
  if (wider.length === 0) return wider
  for (const p of patterns) {
    const { any, named } = wider.find((one) => one.any === anyParts(p)) ?? NONE_WIDER
    if (any === 0) continue
    const [first, second] = [firstNamed(any, p), secondNamed(any, p)]
    const seconds = named.get(first)
    if (seconds === undefined) named.set(first, new Set([second]))
    else seconds.add(second)
  }
  return wider
}
const NONE_WIDER: Wider = { any: 0, named: new Map() }
const hasKind = (kinds: number, any: number): boolean => (kinds & (1 << any)) !== 0
const narrowerKinds = (any: number): ReadonlyArray<number> => [0, 1, 2, 3, 4, 5, 6].filter((kind) => kind !== any && (kind & any) === kind)

/** The first part that is not any in patterns of this kind, of one that they may cover; and the second. */
const firstNamed = (any: number, p: Pattern): string => ((any & ENTITY) === 0 ? p.entity! : (any & SCOPE) === 0 ? p.scope! : (any & ID) === 0 ? p.id! : "")
const secondNamed = (any: number, p: Pattern): string =>
  any === ENTITY || any === SCOPE ? p.id! : any === ID ? p.scope! : ""

const isCovered = (p: Pattern, wider: ReadonlyArray<Wider>): boolean => {
  if (wider.length === 0) return false
  const own = anyParts(p)
  for (const { any, named } of wider) {
    if (any === own || (any & own) !== own) continue
    if ((any & ENTITY) !== 0 && p.entity !== null && isSystemEntity(p.entity)) continue
    if (named.get(firstNamed(any, p))?.has(secondNamed(any, p)) === true) return true
  }
  return false
}

/** Whether some address is matched by both. */
export const overlaps = (a: Pattern, b: Pattern): boolean => intersect(a, b) !== null

/** What `lost` makes a client forget: an id is forgotten in whatever scope it is. */
export const forgets = (lost: ViewPattern): ViewPattern => (lost.id === null ? lost : { ...lost, scope: null })
