/**
 * Who is live and sees an address: from the patterns of views to the members that hold them. An event costs a few look-ups and one call
 * for each member that sees it, however many members and patterns there are.
 */
import type { ViewPattern } from "#protocol/grant.ts"
import type { Address } from "#protocol/subject.ts"

/** The members whose views hold a pattern of one entity type. */
interface Parts<M> {
  readonly all: Set<M>
  readonly scopes: Map<string, Set<M>>
  readonly ids: Map<string, Set<M>>
  readonly idsByScope: Map<string, Map<string, Set<M>>>
}

export class LiveIndex<M> {
  readonly #entities = new Map<string, Parts<M>>()

  /** The member sees `view` from now on. It must not be in the index. */
  join(member: M, view: ReadonlyArray<ViewPattern>): void {
    for (const { entity, scope, id } of view) {
      let parts = this.#entities.get(entity)
      if (parts === undefined) this.#entities.set(entity, (parts = { all: new Set(), scopes: new Map(), ids: new Map(), idsByScope: new Map() }))
      if (scope === null && id === null) parts.all.add(member)
      else if (id === null) put(parts.scopes, scope!, member)
      else if (scope === null) put(parts.ids, id, member)
      else {
        let byId = parts.idsByScope.get(scope)
        if (byId === undefined) parts.idsByScope.set(scope, (byId = new Map()))
        put(byId, id, member)
      }
    }
  }

  /** Takes the member out. `view` is what it joined with. */
  leave(member: M, view: ReadonlyArray<ViewPattern>): void {
    for (const { entity, scope, id } of view) {
      const parts = this.#entities.get(entity)
      if (parts === undefined) continue
      if (scope === null && id === null) parts.all.delete(member)
      else if (id === null) take(parts.scopes, scope!, member)
      else if (scope === null) take(parts.ids, id, member)
      else {
        const byId = parts.idsByScope.get(scope)
        if (byId === undefined) continue
        take(byId, id, member)
        if (byId.size === 0) parts.idsByScope.delete(scope)
      }
      if (parts.all.size + parts.scopes.size + parts.ids.size + parts.idsByScope.size === 0) this.#entities.delete(entity)
    }
  }

  /** Calls `visit` with each member that sees the address: more than once where two patterns of its view do. */
  visit(at: Address, visit: (member: M) => void): void {
    const parts = this.#entities.get(at.entity)
    if (parts === undefined) return
    for (const member of parts.all) visit(member)
    if (parts.ids.size > 0) each(parts.ids.get(at.id), visit)
    if (at.scope === null) return
    if (parts.scopes.size > 0) each(parts.scopes.get(at.scope), visit)
    if (parts.idsByScope.size > 0) each(parts.idsByScope.get(at.scope)?.get(at.id), visit)
  }

  /** Whether nobody is in it. */
  get empty(): boolean {
    return this.#entities.size === 0
  }
}

const each = <M>(members: Set<M> | undefined, visit: (member: M) => void): void => {
  if (members !== undefined) for (const member of members) visit(member)
}

const put = <M>(map: Map<string, Set<M>>, key: string, member: M): void => {
  const members = map.get(key)
  if (members === undefined) map.set(key, new Set([member]))
  else members.add(member)
}

const take = <M>(map: Map<string, Set<M>>, key: string, member: M): void => {
  const members = map.get(key)
  if (members?.delete(member) === true && members.size === 0) map.delete(key)
}
