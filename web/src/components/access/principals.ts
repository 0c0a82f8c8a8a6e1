/** Everybody who can be granted something: people, users whom a grant or membership names, roles, everyone. Pure. */
import type { GrantRow, MemberRow } from "../../data/entities.ts"

export interface Principal {
  /** `user:<id>`, `role:<name>`, `everyone`. */
  readonly id: string
  readonly name: string
  readonly kind: "user" | "role" | "everyone"
  /** Of a role: how many are directly in it. */
  readonly members: number
}

export const principalsOf = (people: Iterable<{ readonly id: string }>, grants: Iterable<GrantRow>, members: Iterable<MemberRow>, nameOf: (principal: string) => string): ReadonlyArray<Principal> => {
  const ids = new Set(["everyone"])
  const inside = new Map<string, number>()
  for (const { id } of people) ids.add(`user:${id}`)
  for (const { principal } of grants) ids.add(principal)
  for (const { role, member } of members) {
    ids.add(`role:${role}`).add(member)
    inside.set(`role:${role}`, (inside.get(`role:${role}`) ?? 0) + 1)
  }
  const kindOf = (id: string): Principal["kind"] => (id === "everyone" ? "everyone" : id.startsWith("role:") ? "role" : "user")
  return [...ids]
    .map((id) => ({ id, name: nameOf(id), kind: kindOf(id), members: inside.get(id) ?? 0 }))
    .sort((a, b) => a.name.localeCompare(b.name))
}

/** Those whose name or id has every word; and what was written itself, as a person or a role that is not there yet. */
export const search = (all: ReadonlyArray<Principal>, text: string): { readonly found: ReadonlyArray<Principal>; readonly fresh: ReadonlyArray<Principal> } => {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "")
  if (words.length === 0) return { found: all, fresh: [] }
  const name = text.trim()
  const fresh = (["user", "role"] as const)
    .filter((kind) => !/^(user|role):|^everyone$/.test(name) && !all.some((one) => one.id === `${kind}:${name}`))
    .map((kind) => ({ id: `${kind}:${name}`, name, kind, members: 0 }))
  return { found: all.filter((one) => words.every((word) => one.name.toLowerCase().includes(word) || one.id.toLowerCase().includes(word))), fresh }
}
