/**
 * Patterns made ready to be asked: a view, or what a user was granted. The same answers as protocol/grant.ts gives about each of them
 * (property tests hold the two together), in a few look-ups however many there are. Never changed, so connections with the same rights share one.
 */
import type { Pattern, ViewPattern } from "#protocol/grant.ts"
import { normalise } from "#protocol/grant.ts"
import type { Address } from "#protocol/subject.ts"
import { isSystemEntity } from "#protocol/subject.ts"

/** The patterns of one entity type, or of any. */
interface Parts {
  all: boolean
  readonly scopes: Set<string>
  readonly ids: Set<string>
  readonly idsByScope: Map<string, Set<string>>
  /** The same the other way round, made when it is first asked for. */
  scopesById: Map<string, Set<string>> | null
}

export class PatternSet {
  readonly #entities = new Map<string, Parts>()
  #anyEntity: Parts | null = null

  constructor(patterns: Iterable<Pattern>) {
    for (const pattern of patterns) {
      const parts = this.#parts(pattern.entity)
      const { scope, id } = pattern
      if (scope === null && id === null) parts.all = true
      else if (id === null) parts.scopes.add(scope!)
      else if (scope === null) parts.ids.add(id)
      else put(parts.idsByScope, scope, id)
    }
  }

  #parts(entity: string | null): Parts {
    if (entity === null) return (this.#anyEntity ??= none())
    let parts = this.#entities.get(entity)
    if (parts === undefined) this.#entities.set(entity, (parts = none()))
    return parts
  }

  /** Those that say something about an entity type. */
  #of(entity: string): ReadonlyArray<Parts> {
    const parts = this.#entities.get(entity)
    const any = isSystemEntity(entity) ? null : this.#anyEntity
    return parts === undefined ? (any === null ? [] : [any]) : any === null ? [parts] : [parts, any]
  }

  /** Whether one of the patterns matches. */
  matches(at: Address): boolean {
    const parts = this.#entities.get(at.entity)
    if (parts !== undefined && within(parts, at)) return true
    return this.#anyEntity !== null && within(this.#anyEntity, at) && !isSystemEntity(at.entity)
  }

  /** Whether one of the patterns covers this one. */
  covers(pattern: ViewPattern): boolean {
    return this.#of(pattern.entity).some((parts) => covering(parts, pattern))
  }

  /** Whether one of the patterns matches something that this one matches. */
  overlaps(pattern: ViewPattern): boolean {
    return this.#of(pattern.entity).some((parts) => {
      for (const _ of common(parts, pattern)) return true
      return false
    })
  }

  /** What both match, normalised: a view is what was asked for, cut down to what is allowed. Null where that is more than `most` patterns. */
  cut(asked: ReadonlyArray<ViewPattern>, most: number): ReadonlyArray<ViewPattern> | null {
    const all: Array<ViewPattern> = []
    for (const pattern of asked) {
      for (const parts of this.#of(pattern.entity)) {
        for (const both of common(parts, pattern)) {
          all.push(both)
          if (all.length > REPEATS * most) return null
        }
      }
    }
    const view = normalise(all)
    return view.length > most ? null : view
  }
}

/** A pattern may come out of its type's and of any type's, and by its scope and by its id. */
const REPEATS = 4

/** What the patterns and this one match together; what another of them covers is left out as far as that costs nothing. */
function* common(parts: Parts, { entity, scope, id }: ViewPattern): Iterable<ViewPattern> {
  const isOwn = isSystemEntity(entity)
  // The log's own have no scope that a pattern could name.
  if (isOwn && scope !== null) return
  if (covering(parts, { scope, id })) {
    yield { entity, scope, id }
  } else if (isOwn) {
    if (id === null) for (const one of parts.ids) yield { entity, scope, id: one }
  } else if (scope !== null) {
    if (id !== null) return
    for (const one of parts.ids) yield { entity, scope, id: one }
    for (const one of parts.idsByScope.get(scope) ?? []) yield { entity, scope, id: one }
  } else if (id !== null) {
    for (const one of parts.scopes) yield { entity, scope: one, id }
    for (const one of scopesOf(parts, id)) yield { entity, scope: one, id }
  } else {
    for (const one of parts.scopes) yield { entity, scope: one, id }
    for (const one of parts.ids) yield { entity, scope, id: one }
    for (const [in_, ids] of parts.idsByScope) for (const one of ids) yield { entity, scope: in_, id: one }
  }
}

const none = (): Parts => ({ all: false, scopes: new Set(), ids: new Set(), idsByScope: new Map(), scopesById: null })

const put = (sets: Map<string, Set<string>>, key: string, value: string): void => {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([value]))
  else set.add(value)
}

const scopesOf = (parts: Parts, id: string): Iterable<string> => {
  if (parts.scopesById === null) {
    parts.scopesById = new Map()
    for (const [scope, ids] of parts.idsByScope) for (const one of ids) put(parts.scopesById, one, scope)
  }
  return parts.scopesById.get(id) ?? []
}

const within = (parts: Parts, { scope, id }: Address): boolean => {
  if (parts.all || parts.ids.has(id)) return true
  if (scope === null) return false
  return parts.scopes.has(scope) || parts.idsByScope.get(scope)?.has(id) === true
}

const covering = (parts: Parts, { scope, id }: Pick<Pattern, "scope" | "id">): boolean => {
  if (id !== null) return within(parts, { scope, entity: "", id })
  return parts.all || (scope !== null && parts.scopes.has(scope))
}
