/** Changes of access against what the live replica holds: whether one is seen to be done, and what undoes it. Pure. */
import type { AccessChange } from "#protocol/access-change.ts"
import type { GrantRow, MemberRow } from "../../data/entities.ts"

export interface Held {
  readonly grants: Iterable<GrantRow>
  readonly members: Iterable<MemberRow>
}

type OnPattern = Extract<AccessChange, { readonly type: "grant" | "revoke" }>

/** The grant with exactly this principal and pattern. */
export const grantFor = ({ principal, scope, entity, entityId }: Pick<OnPattern, "principal" | "scope" | "entity" | "entityId">, { grants }: Held): GrantRow | null => {
  for (const grant of grants) if (grant.principal === principal && grant.scope === scope && grant.entity === entity && grant.entity_id === entityId) return grant
  return null
}

const isMember = (role: string, member: string, { members }: Held): boolean => {
  for (const one of members) if (one.role === role && one.member === member) return true
  return false
}

/** Whether what is held says so. A sign-out is not held: its answer is all there is. */
export const isDone = (change: AccessChange, held: Held): boolean => {
  switch (change.type) {
    case "grant": {
      const grant = grantFor(change, held)
      const ends = (at: string | null): number | null => (at === null ? null : Date.parse(at))
      return grant !== null && grant.level === change.level && ends(grant.expires_at) === ends(change.expiresAt)
    }
    case "revoke":
      return grantFor(change, held) === null
    case "join":
      return isMember(change.role, change.member, held)
    case "leave":
      return !isMember(change.role, change.member, held)
    case "sign-out":
      return true
  }
}

/** What puts it back as it is now, before the change; null where nothing does. */
export const inverse = (change: AccessChange, held: Held, id: string): AccessChange | null => {
  switch (change.type) {
    case "grant":
    case "revoke": {
      const { principal, scope, entity, entityId } = change
      const before = grantFor(change, held)
      if (before === null) return change.type === "revoke" ? null : { id, type: "revoke", principal, scope, entity, entityId }
      if (before.expires_at !== null && Date.parse(before.expires_at) <= Date.now()) return null
      return { id, type: "grant", principal, scope, entity, entityId, level: before.level, expiresAt: before.expires_at === null ? null : new Date(before.expires_at).toISOString() }
    }
    case "join":
      return isMember(change.role, change.member, held) ? null : { ...change, id, type: "leave" }
    case "leave":
      return isMember(change.role, change.member, held) ? { ...change, id, type: "join" } : null
    case "sign-out":
      return null
  }
}
