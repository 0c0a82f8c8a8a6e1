/**
 * Patterns made ready to be asked about many addresses: a view, or what a user was granted. The same answer as `matches` of
 * protocol/grant.ts for any of them (a property test holds the two together), in a few look-ups however many there are.
 */
import type { Pattern } from "#protocol/grant.ts"
import type { Address } from "#protocol/subject.ts"
import { isSystemEntity } from "#protocol/subject.ts"

/** The patterns of one entity type, or of any. */
interface Parts {
  all: boolean
  readonly scopes: Set<string>
  readonly ids: Set<string>
  readonly idsByScope: Map<string, Set<string>>
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
      else ids(parts, scope).add(id)
    }
  }

  #parts(entity: string | null): Parts {
    if (entity === null) return (this.#anyEntity ??= none())
    let parts = this.#entities.get(entity)
    if (parts === undefined) this.#entities.set(entity, (parts = none()))
    return parts
  }

  /** Whether one of the patterns matches. */
  matches(at: Address): boolean {
    const parts = this.#entities.get(at.entity)
    if (parts !== undefined && within(parts, at)) return true
    return this.#anyEntity !== null && within(this.#anyEntity, at) && !isSystemEntity(at.entity)
  }
}

const none = (): Parts => ({ all: false, scopes: new Set(), ids: new Set(), idsByScope: new Map() })

const ids = (parts: Parts, scope: string): Set<string> => {
  let set = parts.idsByScope.get(scope)
  if (set === undefined) parts.idsByScope.set(scope, (set = new Set()))
  return set
}

const within = (parts: Parts, { scope, id }: Address): boolean => {
  if (parts.all || parts.ids.has(id)) return true
  if (scope === null) return false
  return parts.scopes.has(scope) || parts.idsByScope.get(scope)?.has(id) === true
}
