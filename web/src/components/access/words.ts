/** Grants in words. Pure: names of people and projects are given. */
import type { Level } from "#protocol/grant.ts"

export interface Names {
  readonly person: (id: string) => string
  /** Null: not one that is known here. */
  readonly project: (id: string) => string | null
  readonly task: (id: string) => string | null
}

export const LEVEL_WORDS: Readonly<Record<Level, { readonly name: string; readonly can: string }>> = {
  VIEW: { name: "View", can: "may look" },
  EDIT: { name: "Edit", can: "may look and edit" },
  SHARE: { name: "Share", can: "may look, edit and let others in" },
  DELETE: { name: "Delete", can: "may also delete" },
  CREATE: { name: "Create", can: "may also delete and create" },
  OWNER: { name: "Owner", can: "may do everything" },
}

const TYPES: Readonly<Record<string, string>> = {
  task: "Tasks", project: "Projects", comment: "Comments", person: "People", file: "Files",
  _grant: "Grants", _member: "Roles’ members", _sign_out: "Sign-outs", _entity: "Tracked tables",
}
export const typeWords = (entity: string | null): string => (entity === null ? "Everything" : (TYPES[entity] ?? entity))
export const ENTITY_TYPES: ReadonlyArray<string> = ["task", "comment", "project", "person", "file"]
export const ACCESS_TYPES: ReadonlyArray<string> = ["_grant", "_member", "_sign_out"]

export const principalName = (principal: string, names: Names): string => {
  if (principal === "everyone") return "Everyone"
  if (principal.startsWith("role:")) return principal.slice("role:".length)
  return names.person(principal.slice("user:".length))
}

interface Pattern {
  readonly scope: string | null
  readonly entity: string | null
  readonly entityId: string | null
}

export const placeWords = (scope: string | null, entity: string | null, names: Names): string =>
  scope !== null ? (names.project(scope) ?? scope) : entity?.startsWith("_") === true ? "Who may do what" : "Everywhere"

export const whatWords = ({ scope, entity, entityId }: Pattern, names: Names): string => {
  if (entityId === null) return typeWords(entity)
  if (entity === "task") return `Task “${names.task(entityId) ?? entityId}”`
  if (entity === "project" && (scope === null || scope === entityId)) return `Project “${names.project(entityId) ?? entityId}”`
  if (entity === "person") return `Person “${names.person(entityId)}”`
  return `${typeWords(entity)}, ${entityId}`
}

/** In the middle of a sentence: "everything in Ferry booking". */
export const onWords = (pattern: Pattern, names: Names): string => {
  const what = whatWords(pattern, names)
  const lower = what.charAt(0).toLowerCase() + what.slice(1)
  return pattern.scope === null ? (pattern.entity === null && pattern.entityId === null ? "everything everywhere" : lower) : `${lower} in ${placeWords(pattern.scope, pattern.entity, names)}`
}

/** How a grant comes to somebody without a role in between. */
export const ownWords = (principal: string, of: string): string => {
  if (principal === "everyone") return of === "everyone" ? "everyone’s grant" : "because everyone has it"
  return principal.startsWith("role:") ? "the role’s own grant" : "own grant"
}
