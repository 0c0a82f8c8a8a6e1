/** What the program writes, as SQL by chance: rows, moves, grants, memberships, and several of them in one transaction. */
import type { Random } from "#test/support/random.ts"
import { CARDS, LINES, NOTICES, OWN, ROLES, ROOMS, SCOPES, TYPES, USERS } from "./tables.ts"

export const quoted = (text: string | null): string => (text === null ? "null" : `'${text.replaceAll("'", "''")}'`)

export interface Pattern {
  readonly principal: string
  readonly scope: string | null
  readonly entity: string | null
  readonly entityId: string | null
}

const LEVELS = ["VIEW", "VIEW", "EDIT", "EDIT", "SHARE", "DELETE", "CREATE", "CREATE", "OWNER", "OWNER"]
/** Part of the grants that run out, within a second and a half. */
const EXPIRING = 0.2

export class Statements {
  readonly #random: Random
  readonly #expiring: boolean
  /** What was granted, as far as the program knows, so that what is revoked was mostly there. */
  #granted: Array<Pattern> = []
  #joined: Array<readonly [role: string, member: string]> = []
  #titles = 0

  /** `expiring`: whether some grants run out. */
  constructor(random: Random, expiring: boolean) {
    this.#random = random
    this.#expiring = expiring
  }

  // --- rows ---------------------------------------------------------------------------------------------------------------

  row(): string {
    const { int } = this.#random
    const title = quoted(`title ${++this.#titles}`)
    const [card, line, notice, scope] = [quoted(this.#random.pick(CARDS)), quoted(this.#random.pick(LINES)), quoted(this.#random.pick(NOTICES)), quoted(this.#random.pick(SCOPES))]
    switch (int(16)) {
      case 0:
      case 1:
        return `insert into program.card (id, scope, title) values (${card}, ${scope}, ${title}) on conflict (id) do update set title = excluded.title`
      case 2:
      case 3:
      case 4:
        return `update program.card set n = n + 1, title = ${title} where id = ${card}`
      case 5:
      case 6:
        return `update program.card set scope = ${scope} where id = ${card}`
      case 7:
        return `delete from program.card where id = ${card}`
      case 8:
        return `update program.card set n = n + 1 where scope = ${scope}`
      case 9:
      case 10:
        return `insert into program.line (id, scope, card) select ${line}, scope, id from program.card where id = ${card} on conflict (id) do update set n = line.n + 1`
      case 11:
      case 12:
        return `update program.line set n = n + 1 where id = ${line}`
      case 13:
        return `delete from program.line where id = ${line}`
      case 14:
        return `insert into program.notice values (${notice}, ${title}) on conflict (id) do update set body = excluded.body`
      default:
        return `delete from program.notice where id = ${notice}`
    }
  }

  /** A room is closed, or what was granted in it is taken back, so that it can be opened anew; or both. */
  close(): string {
    const room = quoted(this.#random.pick(ROOMS))
    const [row, grants] = [`delete from program.room where id = ${room}`, `delete from authz.grants where scope = ${room}`]
    return this.#random.pick([row, grants, `${row}; ${grants}`, `${row}; ${grants}`])
  }

  // --- access -------------------------------------------------------------------------------------------------------------

  #pattern(): Pattern {
    const { random } = { random: this.#random }
    const who = random.next()
    const principal = who < 0.08 ? "everyone" : who < 0.35 ? `role:${random.pick(ROLES)}` : `user:${random.pick(USERS)}`
    const entity = random.pick(TYPES)
    const id = random.pick(entity === "card" ? CARDS : entity === "line" ? LINES : NOTICES)
    const scope = random.pick(SCOPES)
    const kind = random.next()
    if (kind > 0.97) return { principal: `user:${random.pick(USERS)}`, scope: null, entity: random.pick(OWN), entityId: null }
    if (principal === "everyone") return kind < 0.5 ? { principal, scope, entity, entityId: null } : { principal, scope: null, entity, entityId: id }
    if (kind < 0.5) return { principal, scope, entity: null, entityId: null }
    if (kind < 0.63) return { principal, scope, entity, entityId: null }
    if (kind < 0.7) return { principal, scope: null, entity, entityId: null }
    if (kind < 0.73) return { principal, scope: null, entity: null, entityId: null }
    if (kind < 0.85) return { principal, scope: null, entity, entityId: id }
    if (kind < 0.95) return { principal, scope, entity, entityId: id }
    return { principal, scope: null, entity: null, entityId: id }
  }

  #spelled({ principal, scope, entity, entityId }: Pattern): string {
    return `principal => ${quoted(principal)}, scope => ${quoted(scope)}, entity => ${quoted(entity)}, entity_id => ${quoted(entityId)}`
  }

  grant(pattern = this.#random.chance(0.3) && this.#granted.length > 0 ? this.#random.pick(this.#granted) : this.#pattern()): string {
    const expires = this.#expiring && this.#random.chance(EXPIRING) ? `, expires_at => clock_timestamp() + interval '${300 + this.#random.int(1_200)} milliseconds'` : ""
    if (!this.#granted.some((one) => this.#spelled(one) === this.#spelled(pattern))) this.#granted.push(pattern)
    return `select authz.grant_access(${this.#spelled(pattern)}, level => '${this.#random.pick(LEVELS)}'${expires})`
  }

  revoke(pattern?: Pattern): string {
    const place = this.#random.int(this.#granted.length)
    const taken = pattern ?? this.#granted[place] ?? this.#pattern()
    this.#granted = this.#granted.filter((one) => this.#spelled(one) !== this.#spelled(taken))
    return `select authz.revoke_access(${this.#spelled(taken)})`
  }

  /** Grants there are about, so that they stay bounded. */
  get many(): boolean {
    return this.#granted.length > 60
  }

  join(): string {
    const role = this.#random.pick(ROLES)
    const member = this.#random.chance(0.25) ? `role:${this.#random.pick(ROLES)}` : this.#random.pick(USERS)
    this.#joined.push([role, member])
    return `select authz.add_member(${quoted(role)}, ${quoted(member)})`
  }

  leave(): string {
    const [role, member] = this.#joined.splice(this.#random.int(this.#joined.length), 1)[0] ?? ["crew", "edsger"]
    return `select authz.remove_member(${quoted(role)}, ${quoted(member)})`
  }

  access(): string {
    const kind = this.#random.next()
    if (kind < 0.15) return this.join()
    if (kind < 0.32) return this.leave()
    return kind < 0.72 && !this.many ? this.grant() : this.revoke()
  }

  /** A user or a session of theirs is signed out. */
  signOut(user: string, session: string | null): string {
    return `select authz.sign_out(${quoted(user)}, ${quoted(session)})`
  }

  /** What a user may ask of `POST /v1/access`, often without a right to it. */
  wish(): Readonly<Record<string, string | null>> {
    const kind = this.#random.next()
    if (kind < 0.15) {
      const [role, member] = kind < 0.07 && this.#joined.length > 0 ? this.#random.pick(this.#joined) : [this.#random.pick(ROLES), this.#random.pick(USERS)]
      return { type: this.#random.pick(["join", "leave"]), role, member: member.startsWith("role:") ? member : `user:${member}` }
    }
    const pattern = this.#granted.length > 0 && this.#random.chance(0.5) ? this.#random.pick(this.#granted) : this.#pattern()
    if (kind < 0.5) return { type: "revoke", ...pattern }
    if (!this.#granted.some((one) => this.#spelled(one) === this.#spelled(pattern))) this.#granted.push(pattern)
    const expiresAt = this.#expiring && this.#random.chance(EXPIRING) ? new Date(Date.now() + 300 + this.#random.int(1_200)).toISOString() : null
    return { type: "grant", ...pattern, level: this.#random.pick(LEVELS), expiresAt }
  }

  /** One grant touched twice in a transaction: taken and given, given and taken, or given with two levels. */
  twice(): string {
    const pattern = this.#granted.length > 0 && this.#random.chance(0.7) ? this.#random.pick(this.#granted) : this.#pattern()
    const first = this.#random.chance(0.5)
    const steps = this.#random.chance(0.3) ? [this.grant(pattern), this.grant(pattern)] : first ? [this.revoke(pattern), this.grant(pattern)] : [this.grant(pattern), this.revoke(pattern)]
    return this.#random.chance(0.4) ? [steps[0], this.row(), steps[1]].join("; ") : steps.join("; ")
  }

  /** Rows and access in one transaction, in any order. */
  mixed(): string {
    return this.#random.shuffle([this.access(), ...Array.from({ length: 1 + this.#random.int(3) }, () => this.row())]).join("; ")
  }

  several(): string {
    return Array.from({ length: 2 + this.#random.int(5) }, () => this.row()).join("; ")
  }
}
