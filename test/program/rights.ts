/**
 * Who was allowed what as of which sequence, by brute force: every state the access tables were ever in, kept whole. It shares nothing with the
 * fold of authz, nor with the patterns of the protocol: what both had wrong would show.
 */
import type { LogMessage } from "#nats/log.ts"
import type { Token } from "./recording.ts"

export interface Place {
  readonly scope: string | null
  readonly entity: string
  readonly id: string
}

export interface GrantRow {
  readonly principal: string
  readonly scope: string | null
  readonly entity: string | null
  readonly entity_id: string | null
  readonly level: string
  readonly expires_at: string | null
}
interface MemberRow {
  readonly role: string
  readonly member: string
}

interface SignOutRow {
  readonly user_id: string
  readonly session: string | null
  readonly signed_out_at: string
}

interface State {
  /** It held from the end of this transaction on. */
  readonly from: number
  readonly grants: ReadonlyMap<string, GrantRow>
  readonly members: ReadonlyMap<string, MemberRow>
}

interface Era {
  readonly from: number
  readonly grants: ReadonlyArray<GrantRow>
}

const LEVELS = ["VIEW", "EDIT", "SHARE", "DELETE", "CREATE", "OWNER"]

export class Rights {
  #states: Array<State> = [{ from: 0, grants: new Map(), members: new Map() }]
  readonly #users = new Map<string, { eras: Array<Era>; states: number }>()
  readonly #signOuts: Array<{ readonly seq: number; readonly row: SignOutRow }> = []
  #open: { grants: Map<string, GrantRow>; members: Map<string, MemberRow> } | null = null

  /** Every message of the log, in order. */
  apply(message: LogMessage): void {
    const { address, operation, body, seq, transaction } = message
    if (address.entity === "_grant" || address.entity === "_member") {
      const last = this.#states.at(-1)!
      this.#open ??= { grants: new Map(last.grants), members: new Map(last.members) }
      const table: Map<string, unknown> = address.entity === "_grant" ? this.#open.grants : this.#open.members
      if (operation === "DELETE") table.delete(address.id)
      else table.set(address.id, JSON.parse(body))
    }
    if (address.entity === "_sign_out" && operation !== "DELETE") this.#signOuts.push({ seq, row: JSON.parse(body) as SignOutRow })
    if (this.#open === null || transaction.position < transaction.count) return
    this.#states.push({ from: seq, ...this.#open })
    this.#open = null
  }

  /** What the user was granted, era by era; an era begins where that changed. */
  eras(user: string): ReadonlyArray<Era> {
    let known = this.#users.get(user)
    if (known === undefined) this.#users.set(user, (known = { eras: [], states: 0 }))
    for (; known.states < this.#states.length; known.states++) {
      const { from, grants, members } = this.#states[known.states]!
      const counts = new Set([`user:${user}`, "everyone"])
      for (let before = 0; before < counts.size; ) {
        before = counts.size
        for (const { role, member } of members.values()) if (counts.has(member)) counts.add(`role:${role}`)
      }
      const held = [...grants.values()].filter(({ principal }) => counts.has(principal))
      const last = known.eras.at(-1)
      if (last === undefined || JSON.stringify(last.grants) !== JSON.stringify(held)) known.eras.push({ from, grants: held })
    }
    return known.eras
  }

  /** The place of the era of `seq` among them. */
  era(user: string, seq: number): number {
    const eras = this.eras(user)
    let low = 0
    let high = eras.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (eras[middle]!.from <= seq) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Whether the user had the level there as of `seq`, by grants that had not run out at `clock` (milliseconds since 1970). */
  allowed(user: string, level: string, at: Place, seq: number, clock: number): boolean {
    return this.eras(user)[this.era(user, seq)]!.grants.some(
      (grant) =>
        LEVELS.indexOf(grant.level) >= LEVELS.indexOf(level) &&
        (grant.scope === null || grant.scope === at.scope) &&
        (grant.entity === null ? !at.entity.startsWith("_") : grant.entity === at.entity) &&
        (grant.entity_id === null || grant.entity_id === at.id) &&
        (grant.expires_at === null || Date.parse(grant.expires_at) > clock),
    )
  }

  /** The grant with this id as of `seq`. */
  grant(id: string, seq: number): GrantRow | undefined {
    return this.#states.findLast(({ from }) => from <= seq)?.grants.get(id)
  }

  /** Whether any grant named the scope as of `seq`. */
  named(scope: string | null, seq: number): boolean {
    return [...(this.#states.findLast(({ from }) => from <= seq)?.grants.values() ?? [])].some((grant) => grant.scope === scope)
  }

  /** Whether the user, as of `seq`, had one grant that covers the whole of this one, with SHARE and the level at least, and lasts as long (until `until`: null is for ever). */
  mayGive(user: string, { scope, entity, entity_id }: GrantRow, level: string, until: string | null, seq: number, clock: number): boolean {
    const least = Math.max(LEVELS.indexOf("SHARE"), LEVELS.indexOf(level))
    return this.eras(user)[this.era(user, seq)]!.grants.some(
      (held) =>
        LEVELS.indexOf(held.level) >= least &&
        (held.scope === null || held.scope === scope) &&
        (held.entity === entity || (held.entity === null && !(entity ?? "").startsWith("_"))) &&
        (held.entity_id === null || held.entity_id === entity_id) &&
        // To the millisecond.
        (held.expires_at === null || (Date.parse(held.expires_at) > clock && until !== null && Date.parse(held.expires_at) + 1 >= Date.parse(until))),
    )
  }

  /** Where in the log the token was ended; null where it was not. */
  ended({ user, session, issuedAt }: Token): number | null {
    // A number of seconds with a fraction may lose a millisecond on its way.
    const found = this.#signOuts.find(({ row }) => row.user_id === user && (row.session === null ? issuedAt + 1 <= Date.parse(row.signed_out_at) : row.session === session))
    return found?.seq ?? null
  }

  /** The first sequence from `least` to `most` as of which the user saw all of these; null where there is none. */
  when(user: string, all: ReadonlyArray<{ readonly at: Place; readonly clock: number }>, least: number, most: number): number | null {
    const eras = this.eras(user)
    for (let i = this.era(user, least); i < eras.length && (eras[i]!.from <= most || i === this.era(user, least)); i++) {
      const seq = Math.max(least, eras[i]!.from)
      if (all.every(({ at, clock }) => this.allowed(user, "VIEW", at, seq, clock))) return seq
    }
    return null
  }

  /** In words: what the user was granted around a sequence. */
  around(user: string, seq: number): ReadonlyArray<string> {
    const eras = this.eras(user)
    const place = this.era(user, seq)
    return eras.slice(Math.max(0, place - 2), place + 3).map(
      ({ from, grants }) =>
        `from ${from}: ${grants.map((g) => `${g.principal} ${g.level} ${g.scope ?? "*"}/${g.entity ?? "*"}/${g.entity_id ?? "*"}${g.expires_at === null ? "" : ` until ${g.expires_at}`}`).join("; ") || "nothing"}`,
    )
  }
}
