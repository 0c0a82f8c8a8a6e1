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

/** Without repeats and without what another covers, in a fixed order. */
export const normalise = <P extends Pattern>(patterns: Iterable<P>): ReadonlyArray<P> => {
  const byKey = new Map<string, P>()
  // What is any in none of them need not be tried: most views hold only scopes, and then nothing covers anything.
  const any = { scope: false, entity: false, id: false }
  for (const p of patterns) {
    byKey.set(patternKey(p), p)
    any.scope ||= p.scope === null
    any.entity ||= p.entity === null
    any.id ||= p.id === null
  }
  const nothingWider = !any.scope && !any.entity && !any.id
  const kept = nothingWider ? [...byKey] : [...byKey].filter(([, p]) => !wider(p, any).some((w) => byKey.has(patternKey(w))))
  // What was normalised before, as most of it was, is in order.
  if (kept.some(([key], i) => i > 0 && key < kept[i - 1]![0])) kept.sort(([a], [b]) => (a < b ? -1 : 1))
  return kept.map(([, p]) => p)
}

/** The patterns that cover `p`, but `p`, and are wider in these parts. */
const wider = (p: Pattern, any: { readonly scope: boolean; readonly entity: boolean; readonly id: boolean }): ReadonlyArray<Pattern> => {
  const scopes = p.scope === null || !any.scope ? [p.scope] : [p.scope, null]
  const entities = p.entity === null || !any.entity || isSystemEntity(p.entity) ? [p.entity] : [p.entity, null]
  const ids = p.id === null || !any.id ? [p.id] : [p.id, null]
  if (scopes.length + entities.length + ids.length === 3) return []
  return scopes.flatMap((scope) => entities.flatMap((entity) => ids.map((id) => ({ scope, entity, id })))).slice(1)
}

/** Whether some address is matched by both. */
export const overlaps = (a: Pattern, b: Pattern): boolean => intersect(a, b) !== null

/** Groups of a normalised view in which no two patterns overlap, as JetStream demands of one consumer's filters: an id in any scope overlaps a scope with any id. */
export const disjoint = (view: ReadonlyArray<ViewPattern>): ReadonlyArray<ReadonlyArray<ViewPattern>> =>
  [view.filter((p) => p.scope !== null || p.id === null), view.filter((p) => p.scope === null && p.id !== null)].filter(
    (group) => group.length > 0,
  )

/** What `lost` makes a client forget: an id is forgotten in whatever scope it is. */
export const forgets = (lost: ViewPattern): ViewPattern => (lost.id === null ? lost : { ...lost, scope: null })
