/**
 * Rows and grants written to a log in memory, and the truth computed the second way: who may see what is asked of the plain list of everything
 * that happened, not of any fold or index.
 */
import type { Pattern } from "#protocol/grant.ts"
import { matches, normalise } from "#protocol/grant.ts"
import { CURSOR_VIEW_BYTES } from "#protocol/limits.ts"
import type { ViewAsk } from "#protocol/request.ts"
import type { Viewed } from "../../services/edge/requests.ts"
import type { Address } from "#protocol/subject.ts"
import { isAccessEntity } from "#protocol/subject.ts"
import type { MemoryLog, Written } from "#nats/log-memory.ts"
import { memoryLog } from "#nats/log-memory.ts"

export const ENTITIES = ["task", "note"] as const
/** Who may do what is in the log as well, and seen by whoever was granted it by name. */
export const ACCESS_ENTITIES = ["_grant", "_member"] as const
export const SCOPES = ["a", "b", "c", null] as const
/** One is so long that no cursor spells a view out that names it: then the log must tell what its holder was in the middle of. */
export const IDS = ["1", "2", "3", "4", "5".repeat(CURSOR_VIEW_BYTES)] as const

interface Grant {
  readonly id: string
  readonly principal: string
  readonly address: Pattern
}

export class Truth {
  readonly log: MemoryLog = memoryLog()
  /** What was written, by sequence. */
  readonly #written: Array<{ readonly seq: number; readonly change: Written }> = []
  readonly #rows = new Map<string, Address>()
  readonly #grants = new Map<string, Grant>()
  readonly #members = new Map<string, { readonly role: string; readonly member: string }>()
  #head = 0
  #bodies = 0

  /** How often the numbering began anew. */
  epoch = 0

  constructor() {
    this.#beginEpoch()
    for (const entity of ENTITIES) {
      const body = JSON.stringify({ entity, table_name: `app.${entity}`, key_columns: ["id"], scope_column: "scope", json_schema: {} })
      this.write([{ scope: null, entity: "_entity", id: entity, operation: "INSERT", body }])
    }
  }

  #beginEpoch(): void {
    const previous = this.epoch === 0 ? null : `${this.epoch}-aa`
    const id = `${++this.epoch}-aa`
    const body = JSON.stringify({ id, previous, firstSeq: this.#head + 1, reason: "simulated", at: "2026-01-01T00:00:00Z" })
    this.write([{ scope: null, entity: "_epoch", id, operation: "INSERT", body }])
  }

  /** The stream loses its newest changes. What was lost follows under other numbers, as the relay has it from the outbox. */
  lose(changes: number): void {
    const cut = this.#head - changes
    const lost = this.#written.filter((one) => one.seq > cut).map((one) => one.change)
    this.#written.splice(this.#written.findIndex((one) => one.seq > cut))
    this.log.loseAfter(cut)
    this.#head = cut
    this.#beginEpoch()
    for (const change of lost) if (change.entity !== "_epoch") this.write([change])
  }

  get head(): number {
    return this.#head
  }

  write(changes: ReadonlyArray<Written>): number {
    const first = this.#head + 1
    this.#head = this.log.append(...changes)
    changes.forEach((change, i) => this.#written.push({ seq: first + i, change }))
    return this.#head
  }

  /** The changes that put a row there, move it, change it, or take it away. */
  row(entity: string, id: string, to: string | null | undefined): ReadonlyArray<Written> {
    const key = `${entity}/${id}`
    const old = this.#rows.get(key)
    const body = JSON.stringify({ id, n: ++this.#bodies })
    const changes: Array<Written> = []
    if (old !== undefined && (to === undefined || old.scope !== to)) changes.push({ ...old, operation: "DELETE", body: "" })
    if (to === undefined) this.#rows.delete(key)
    else {
      const at = { scope: to, entity, id }
      changes.push({ ...at, operation: old !== undefined && old.scope === to ? "UPDATE" : "INSERT", body })
      this.#rows.set(key, at)
    }
    return changes
  }

  grant(principal: string, address: Pattern): ReadonlyArray<Written> {
    const id = `${principal}:${JSON.stringify(address)}`
    const grant = { id, principal, address }
    const operation = this.#grants.has(id) ? "UPDATE" : "INSERT"
    this.#grants.set(id, grant)
    const body = grantBody(grant)
    return [{ scope: null, entity: "_grant", id, operation, body, before: operation === "UPDATE" ? body : null }]
  }

  get grants(): ReadonlyArray<string> {
    return [...this.#grants.keys()]
  }

  revoke(id: string): ReadonlyArray<Written> {
    const grant = this.#grants.get(id)!
    this.#grants.delete(id)
    return [{ scope: null, entity: "_grant", id, operation: "DELETE", body: "", before: grantBody(grant) }]
  }

  toggleMember(role: string, member: string): ReadonlyArray<Written> {
    const id = `${role},${member}`
    const body = JSON.stringify({ role, member })
    if (this.#members.delete(id)) return [{ scope: null, entity: "_member", id, operation: "DELETE", body: "", before: body }]
    this.#members.set(id, { role, member })
    return [{ scope: null, entity: "_member", id, operation: "INSERT", body }]
  }

  principals(user: string, seq: number): ReadonlySet<string> {
    const members = this.#systemRows("_member", seq).map((row) => row as { role: string; member: string })
    const found = new Set([`user:${user}`, "everyone"])
    for (const principal of found) for (const { role, member } of members) if (member === principal) found.add(`role:${role}`)
    return found
  }

  allowed(user: string, seq: number): ReadonlyArray<Pattern> {
    const principals = this.principals(user, seq)
    return normalise(
      this.#systemRows("_grant", seq)
        .map((row) => row as { principal: string; scope: string | null; entity: string | null; entity_id: string | null })
        .filter((row) => principals.has(row.principal))
        .map(({ scope, entity, entity_id }) => ({ scope, entity, id: entity_id })),
    )
  }

  #systemRows(entity: string, seq: number): ReadonlyArray<unknown> {
    const rows = new Map<string, string>()
    for (const one of this.#written) {
      if (one.seq > seq) break
      if (one.change.entity === entity) rows.set(one.change.id, one.change.body ?? "")
    }
    return [...rows.values()].filter((body) => body !== "").map((body) => JSON.parse(body) as unknown)
  }

  /** What authz would answer. */
  view({ user, at, before }: ViewAsk): Viewed {
    return {
      principals: [...this.principals(user, at)],
      allowed: this.allowed(user, at),
      allowedBefore: before.map((seq) => this.allowed(user, seq)),
      expiresAt: null,
    }
  }

  /** The rows that `user` sees of what is asked for, as `entity/id` → body. */
  rows(user: string, asked: ReadonlyArray<Pattern>): ReadonlyMap<string, string> {
    const allowed = this.allowed(user, this.#head)
    const rows = new Map<string, string>()
    for (const { change } of this.#written) {
      const { scope, entity, id, body = "" } = change
      if (entity.startsWith("_") && !isAccessEntity(entity)) continue
      const at = { scope, entity, id }
      if (body === "") rows.delete(`${entity}/${id}`)
      else if (allowed.some((p) => matches(p, at)) && asked.some((p) => matches(p, at))) rows.set(`${entity}/${id}`, body)
      else rows.delete(`${entity}/${id}`)
    }
    return rows
  }

  /** Whether somebody who is told of the change at `seq` was, then or later, allowed to hear of it. */
  mayHear(user: string, at: Address, seq: number): boolean {
    for (let n = seq; n <= this.#head; n++) if (this.allowed(user, n).some((p) => matches(p, at))) return true
    return false
  }
}

const grantBody = ({ id, principal, address }: Grant): string =>
  JSON.stringify({ id, principal, scope: address.scope, entity: address.entity, entity_id: address.id, level: "VIEW", expires_at: null })

