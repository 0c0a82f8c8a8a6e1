/** Who holds something in a project, as the share dialog lists them: from an answer of authz (protocol/explain.ts). Pure. */
import type { ExplainedGrant, Holder } from "#protocol/explain.ts"
import type { Level } from "#protocol/grant.ts"
import { LEVELS } from "#protocol/grant.ts"
import type { GrantRow } from "../../data/entities.ts"

export interface Entry {
  /** `user:<id>`, `role:<name>`, `everyone`. */
  readonly principal: string
  readonly name: string
  readonly me: boolean
  /** Their own grant on all of the project: what is changed and taken back here. */
  readonly own: ExplainedGrant | null
  /** What else gives them something in it. */
  readonly others: ReadonlyArray<ExplainedGrant>
  /** The level on all of it; null: on some of it only. */
  readonly level: Level | null
  /** There are more grants than are told. */
  readonly more: boolean
}

/** Types that lie in projects: a grant on people or files everywhere gives nothing in one. */
const IN_PROJECTS: ReadonlySet<string> = new Set(["project", "task", "comment"])

const KINDS = ["user:", "role:", ""]
const kindOf = (principal: string): number => KINDS.findIndex((kind) => principal.startsWith(kind))

/** Oneself first, then people, roles and everyone, each by name. */
export const entriesOf = (holders: ReadonlyArray<Holder>, project: string, user: string | null, nameOf: (principal: string) => string): ReadonlyArray<Entry> =>
  holders
    .map(({ principal, level, grants, more }): Entry => {
      const own = grants.find((grant) => isOwn(grant, principal, project)) ?? null
      const others = grants.filter((grant) => grant !== own && (grant.entity === null || IN_PROJECTS.has(grant.entity)))
      return { principal, name: nameOf(principal), me: principal === `user:${user}`, own, others, level, more }
    })
    .filter(({ own, others, more }) => own !== null || others.length > 0 || more)
    .sort((a, b) => Number(b.me) - Number(a.me) || kindOf(a.principal) - kindOf(b.principal) || a.name.localeCompare(b.name))

const isOwn = (grant: ExplainedGrant, principal: string, project: string): boolean =>
  !grant.cut && grant.principal === principal && grant.scope === project && grant.entity === null && grant.entityId === null

const rank = (level: Level): number => LEVELS.indexOf(level)

/** What somebody who holds `mine` may give. */
export const levelsUpTo = (mine: Level): ReadonlyArray<Level> => LEVELS.filter((level) => rank(level) <= rank(mine))

/** Whether who holds `mine` on all of the project may change or take back this grant, which was shown in the entry of `principal`. */
export const mayChange = (grant: ExplainedGrant, principal: string, project: string, mine: Level | null): boolean =>
  mine !== null && rank(mine) >= rank("SHARE") && rank(mine) >= rank(grant.level) && !grant.cut && grant.principal === principal && grant.scope === project

/** The grants as rows, without those of which only a part is told. */
export const rowsOf = (holders: ReadonlyArray<Holder>): ReadonlyArray<GrantRow> =>
  holders.flatMap(({ principal, grants }) =>
    grants
      .filter((grant) => !grant.cut && grant.principal === principal)
      .map(({ id, scope, entity, entityId, level, expiresAt, grantedBy, grantedAt }) => ({
        id: id ?? "", principal, scope, entity, entity_id: entityId, level, expires_at: expiresAt, granted_by: grantedBy, granted_at: grantedAt ?? "",
      })),
  )
