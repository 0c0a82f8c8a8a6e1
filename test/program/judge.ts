/**
 * The second way: every frame that a client was sent is held against the log, by rules that know nothing of how the edge came to send it.
 *
 * - It goes on where the one before ended, and what it tells is in the log under that number, to the letter.
 * - Rights go forward only: once a frame named a sequence, as its position or as the sequence as of which access was decided, nothing
 *   that was lost by then is told any more. A frame that moves the position tells only what its user saw as of the later of both.
 * - State that is given beside the flow was all visible as of one sequence between what was named before and what is named next.
 * - What is held was visible as of the last frame: what was lost was taken away before anything else was told.
 * - A connection whose token was ended is told of nothing from there on.
 * - A frame of the live flow tells everything of its stretch of the log that its user sees, and so whole transactions.
 */
import { isDeepStrictEqual } from "node:util"
import type { LogMessage } from "#nats/log.ts"
import type { History } from "./history.ts"
import type { Asked, Entry, Read, Sent, Token, Wished } from "./recording.ts"
import type { GrantRow, Place, Rights } from "./rights.ts"

/** Milliseconds by which an edge's timer may be late on a busy machine: a change as much younger than a grant's end is not held against it. */
const LATE_MS = 500
/** Milliseconds that a mutation may have waited for a lock after its transaction began, whose time counts for what has run out. */
const WAITED_MS = 5_000

interface Told {
  readonly entityCode: string
  readonly entityId: string
  readonly scope: string | null
  readonly operation: string
  readonly version: number
  readonly data: unknown
  readonly timestamp: string
  readonly by: string | null
  readonly mutationId?: string
}

interface Frame {
  readonly type: string
  readonly payload: {
    readonly from?: number
    readonly to?: number
    readonly cursor?: string
    readonly changes?: ReadonlyArray<Told>
    readonly more?: boolean
    readonly entityCode?: string
    readonly entityId?: string
    readonly scope?: string
  }
}

interface Cursor {
  readonly seq: number
  readonly access: number
  readonly partial: boolean
}

/** One client, as far as its frames say. */
interface Standing {
  position: number
  /** What its connection came with. */
  token: Token | null
  /** The latest sequence that a frame named. */
  rights: number
  asked: ReadonlyArray<Asked>
  wishes: Array<ReadonlyArray<Asked>>
  /** What was given beside the flow and is not judged yet: each time that it was decided anew what is to be given. */
  given: Array<Array<{ readonly at: Place; readonly clock: number; readonly version: number }>>
  givenAt: number
  /** The first sequence as of which what was given last can have been decided. */
  giving: number
  readonly held: Map<string, { readonly at: Place; readonly version: number; readonly gone: boolean }>
  /** The era as of which what is held was looked at last. */
  era: number
}

export interface Counts {
  frames: number
  changes: number
  given: number
  revoked: number
  reads: number
  mutations: number
  /** Changes of access that users asked for, in the log. */
  access: number
  /** Scopes that users opened. */
  founded: number
}

export const noCounts = (): Counts => ({ frames: 0, changes: 0, given: 0, revoked: 0, reads: 0, mutations: 0, access: 0, founded: 0 })

export class Judge {
  readonly #history: History
  readonly #rights: Rights
  readonly #standings = new Map<string, Standing>()
  readonly counts = noCounts()
  /** The violations found, in words. */
  #wrong: Array<string> = []

  constructor(history: History, rights: Rights) {
    this.#history = history
    this.#rights = rights
  }

  /** What was found since the last call. */
  take(): ReadonlyArray<string> {
    const wrong = this.#wrong
    this.#wrong = []
    return wrong
  }

  // --- frames -----------------------------------------------------------------------------------------------------------------

  /** Somebody of whom nothing was seen stands here and holds this. */
  introduce(name: string, { position, cursor }: { readonly position: number; readonly cursor: string | null }, asked: ReadonlyArray<Asked>, held: ReadonlyArray<{ readonly at: Place; readonly version: number }>): void {
    const rights = cursor === null ? 0 : (parseCursor(cursor)?.access ?? 0)
    const documents = new Map(held.map(({ at, version }) => [`${at.entity}/${at.id}`, { at, version, gone: false }]))
    this.#standings.set(name, { position, token: this.#standings.get(name)?.token ?? null, rights: Math.max(position, rights), asked, wishes: [], given: [], givenAt: 0, giving: Math.max(position, rights), held: documents, era: -1 })
  }

  client(name: string, user: string, entries: ReadonlyArray<Entry>): void {
    if (!this.#standings.has(name)) this.introduce(name, { position: 0, cursor: null }, [], [])
    const standing = this.#standings.get(name)!
    for (const entry of entries) this.#entry({ name, user, step: entry.step }, standing, entry)
  }

  #entry(who: Who, standing: Standing, entry: Entry): void {
    switch (entry.type) {
      case "opened": {
        const cursor = entry.cursor === null ? null : parseCursor(entry.cursor)
        standing.position = entry.position
        standing.token = entry.token
        standing.rights = cursor === null ? 0 : Math.max(cursor.seq, cursor.access)
        standing.giving = standing.rights
        standing.wishes = []
        standing.era = -1
        if (entry.cursor === null) standing.held.clear()
        return
      }
      case "asked":
        standing.wishes.push(entry.asked)
        return
      case "closed":
        // Nobody said as of when it was given: it was some time up to now.
        this.#judgeGiven(who, standing, this.#history.head)
        return
      case "frame":
        this.counts.frames += 1
        return this.#frame(who, standing, JSON.parse(entry.text) as Frame, entry.at)
    }
  }

  #frame(who: Who, standing: Standing, { type, payload }: Frame, receivedAt: number): void {
    switch (type) {
      case "SUBSCRIBED":
        standing.asked = standing.wishes.shift() ?? standing.asked
        return
      case "RESET":
        standing.held.clear()
        standing.position = 0
        return
      case "ACCESS_REVOKED":
        this.counts.revoked += 1
        for (const [key, { at }] of standing.held) {
          if (at.entity === payload.entityCode && (payload.entityId === undefined || payload.entityId === at.id) && (payload.scope === undefined || payload.scope === at.scope)) standing.held.delete(key)
        }
        return
      case "CHANGES":
      case "HEARTBEAT":
      case "LIVE":
        return this.#moved(who, standing, type, payload, receivedAt)
    }
  }

  #moved(who: Who, standing: Standing, type: string, payload: Frame["payload"], receivedAt: number): void {
    const { from = -1, to = -1, changes = [] } = payload
    const cursor = parseCursor(payload.cursor ?? "")
    if (cursor === null || cursor.seq !== to) return this.#fail(who, `a frame to ${to} has the cursor ${payload.cursor}`, null, to)
    if (to > this.#history.head) return this.#fail(who, `a frame to ${to}, and the log ends at ${this.#history.head}`, null, to)
    if (from !== standing.position || to < from) this.#fail(who, `a frame from ${from} to ${to} for a client that stands at ${standing.position}`, null, from)
    standing.position = to
    const ended = standing.token === null ? null : this.#rights.ended(standing.token)
    if (ended !== null && to >= ended) this.#fail(who, `LEAK: a frame from ${from} to ${to} on a connection whose token (${standing.token!.session}) was ended at ${ended}`, null, to)
    for (const change of changes) this.#content(who, change, to)
    if (type === "CHANGES" && from === to) {
      standing.givenAt = to
      if (standing.given.length === 0) standing.given.push([])
      for (const change of changes) standing.given.at(-1)!.push({ at: placeOf(change), clock: clockOf(change), version: change.version })
      this.#hold(standing, changes)
      return
    }
    const named = Math.max(to, cursor.access)
    // Something else is about to be given. As of when is said by the frame that moves on, once all of it was.
    if (cursor.partial) standing.given.push([])
    else this.#judgeGiven(who, standing, named)
    standing.rights = Math.max(standing.rights, named)
    if (!cursor.partial) standing.giving = Math.max(standing.giving, standing.rights)
    for (const change of changes) {
      if (change.version <= from) this.#fail(who, `a frame from ${from} tells of ${change.version}`, keyOf(change), change.version)
      if (!this.#rights.allowed(who.user, "VIEW", placeOf(change), standing.rights, clockOf(change))) {
        this.#fail(who, `LEAK: told of ${change.operation} at ${change.version} in ${change.scope} by a frame from ${from} to ${to}, decided as of ${standing.rights}`, keyOf(change), change.version)
      }
    }
    this.#hold(standing, changes)
    if (type === "CHANGES" && payload.more !== true) this.#whole(who, standing, from, to, changes, receivedAt)
    if (type === "LIVE") for (const [key, { gone }] of standing.held) if (gone) standing.held.delete(key)
    if (!cursor.partial) this.#lookAtHeld(who, standing)
  }

  /** It is what the log has under its number. */
  #content(who: Who, change: Told, to: number): void {
    this.counts.changes += 1
    const message = this.#history.at(change.version)
    if (change.version > to) this.#fail(who, `a frame to ${to} tells of ${change.version}`, keyOf(change), change.version)
    if (message === undefined || !saysTheSame(change, message)) {
      this.#fail(who, `told ${JSON.stringify(change)}, and the log has ${message === undefined ? "nothing there" : `${message.operation} ${message.subject} ${message.body}`}`, keyOf(change), change.version)
    }
  }

  #hold(standing: Standing, changes: ReadonlyArray<Told>): void {
    for (const change of changes) {
      const key = keyOf(change)
      const known = standing.held.get(key)
      if (known !== undefined && known.version >= change.version) continue
      standing.held.set(key, { at: placeOf(change), version: change.version, gone: change.operation === "DELETE" })
    }
  }

  #judgeGiven(who: Who, standing: Standing, upTo: number): void {
    const { givenAt, given: all } = standing
    standing.given = []
    for (const given of all) if (given.length > 0) this.#judgeTogether(who, standing, given, givenAt, upTo)
  }

  #judgeTogether(who: Who, standing: Standing, given: Standing["given"][number], givenAt: number, upTo: number): void {
    this.counts.given += given.length
    // What is named by a frame in between is not yet when the rest of it was decided.
    const least = standing.giving
    const seq = this.#rights.when(who.user, given, least, Math.max(least, upTo))
    if (seq !== null) return void (standing.giving = Math.max(standing.giving, seq))
    const never = given.find((one) => this.#rights.when(who.user, [one], least, Math.max(least, upTo)) === null) ?? given[0]!
    this.#fail(who, `LEAK: given ${given.length} at ${givenAt}, which were not visible together as of any sequence from ${least} to ${upTo}; among them version ${never.version} in ${never.at.scope}`, `${never.at.entity}/${never.at.id}`, upTo)
  }

  /** What is held and was lost should have been taken away before this. */
  #lookAtHeld(who: Who, standing: Standing): void {
    const era = this.#rights.era(who.user, standing.rights)
    if (era === standing.era) return
    standing.era = era
    for (const [key, { at, version, gone }] of standing.held) {
      if (gone || this.#rights.allowed(who.user, "VIEW", at, standing.rights, Number.NEGATIVE_INFINITY)) continue
      this.#fail(who, `still holds version ${version} in ${at.scope}, which it may not see as of ${standing.rights}: nobody told it to forget`, key, standing.rights)
    }
  }

  /** Everything that the user sees of what lies between is in it. */
  #whole(who: Who, standing: Standing, from: number, to: number, changes: ReadonlyArray<Told>, receivedAt: number): void {
    const told = new Set(changes.map((change) => change.version))
    for (const message of this.#history.between(from, to)) {
      const { address, seq } = message
      if (told.has(seq) || !standing.asked.some((one) => isAsked(one, address))) continue
      if (this.#rights.allowed(who.user, "VIEW", address, to, receivedAt)) {
        this.#fail(who, `not told of ${message.operation} at ${seq} in ${address.scope} by the live frame from ${from} to ${to} (transaction ${message.transaction.xid}, ${message.transaction.position}/${message.transaction.count})`, `${address.entity}/${address.id}`, seq)
      }
    }
  }

  // --- what was read, what was written -------------------------------------------------------------------------------------------

  /** An answer over HTTP: each version in it was visible as of some sequence at or after it, and after what the client knew by then. */
  read({ user, token, url, status, text, position, step, at: when }: Read): void {
    if (status !== 200) return
    this.counts.reads += 1
    const ended = this.#rights.ended(token)
    if (ended !== null && position >= ended) this.#fail({ name: `GET ${url} by ${user}`, user, step }, `answered as of ${position} or later, and its token (${token.session}) was ended at ${ended}`, null, ended)
    const answer = JSON.parse(text) as { readonly items?: ReadonlyArray<Told> } & Told
    for (const item of answer.items ?? [answer]) {
      const who = { name: `GET ${url} by ${user}`, user, step }
      const message = this.#history.at(item.version)
      if (message === undefined || !isDeepStrictEqual(item.data, message.body === "" ? null : JSON.parse(message.body)) || message.address.scope !== item.scope) {
        this.#fail(who, `answered ${JSON.stringify(item)}, and the log has ${message === undefined ? "nothing there" : `${message.operation} ${message.subject} ${message.body}`}`, keyOf(item), item.version)
      }
      const least = Math.max(position, item.version)
      if (this.#rights.when(user, [{ at: placeOf(item), clock: Math.min(clockOf(item), when) }], least, Math.max(least, this.#history.head)) === null) {
        this.#fail(who, `LEAK: answered version ${item.version} in ${item.scope}, which was not visible as of any sequence from ${least} on`, keyOf(item), item.version)
      }
    }
  }

  /** Mutations that are in the log: each once, and its user was allowed it as of the sequence before it. */
  mutations(sent: ReadonlyMap<string, Sent>, from: number): ReadonlySet<string> {
    const first = new Map<string, Array<LogMessage>>()
    for (const message of this.#history.between(from, this.#history.head)) {
      if (message.mutation === null || !sent.has(message.mutation)) continue
      const all = first.get(message.mutation)
      if (all === undefined) first.set(message.mutation, [message])
      else all.push(message)
    }
    for (const [id, messages] of first) {
      this.counts.mutations += 1
      const mutation = sent.get(id)!
      const { user, entity, entityId, op, answers, step } = mutation
      const who = { name: `mutation ${id} by ${user}`, user, step }
      const before = messages[0]!.seq - messages[0]!.transaction.position
      const own = messages.filter(({ address }) => address.entity === entity && address.id === entityId)
      const key = `${entity}/${entityId}`
      if (new Set(messages.map(({ transaction }) => transaction.xid)).size > 1) this.#fail(who, `${op} was applied twice`, key, before)
      if (messages.some((message) => message.user !== user)) this.#fail(who, `${op} is in the log as ${messages[0]!.user}'s`, key, before)
      if (answers.length >= mutation.times && !answers.includes("applied")) this.#fail(who, `${op} was answered ${answers.join(", ")}, and is in the log`, key, before)
      for (const message of own) {
        const needed = message.operation === "UPDATE" ? "EDIT" : message.operation === "INSERT" ? "CREATE" : op === "delete" ? "DELETE" : "EDIT"
        const opens = entity === "room" && message.operation === "INSERT" && !this.#rights.named(entityId, before)
        if (opens) this.counts.founded += 1
        if (opens !== messages.some(({ address, body }) => address.entity === "_grant" && body !== "" && isOwner(JSON.parse(body) as GrantRow, user, entityId))) {
          this.#fail(who, `${op} at ${message.seq}: the scope was ${opens ? "new, and is not theirs" : "not new, and became theirs"}`, key, message.seq)
        }
        if (opens || this.#rights.allowed(user, needed, message.address, before, Date.parse(message.at) - WAITED_MS)) continue
        this.#fail(who, `${op} was applied at ${message.seq} in ${message.address.scope} without ${needed} as of ${before}`, key, message.seq)
      }
    }
    return new Set(first.keys())
  }

  /** Changes of access that are in the log: each once, and its user was allowed it as of the sequence before it. */
  changes(wished: ReadonlyMap<string, Wished>, from: number): void {
    const seen = new Map<string, string>()
    for (const message of this.#history.between(from, this.#history.head)) {
      const wish = message.mutation === null ? undefined : wished.get(message.mutation)
      if (wish === undefined) continue
      this.counts.access += 1
      const { id, user, change, answers, step } = wish
      const { address, operation, seq, transaction } = message
      const who = { name: `change ${id} by ${user}`, user, step }
      const before = seq - transaction.position
      const what = `${JSON.stringify(change)} was applied at ${seq}`
      const key = `${address.entity}/${address.id}`
      if ((seen.get(id) ?? transaction.xid) !== transaction.xid) this.#fail(who, `${what} for the second time`, key, seq)
      seen.set(id, transaction.xid)
      if (message.user !== user) this.#fail(who, `${what} as ${message.user}'s`, key, seq)
      if (answers.length >= wish.times && !answers.includes("applied")) this.#fail(who, `${what}, and was answered ${answers.join(", ")}`, key, seq)
      if (!this.#mayChange(user, message, before, Date.parse(message.at) - WAITED_MS)) this.#fail(who, `${what} (${operation} ${key}) without the right to it as of ${before}`, key, before)
    }
  }

  #mayChange(user: string, { address, operation, body, at }: LogMessage, before: number, clock: number): boolean {
    if (address.entity === "_sign_out" && (JSON.parse(body) as { user_id: string }).user_id === user) return true
    if (address.entity !== "_grant") return this.#rights.allowed(user, "EDIT", { scope: null, entity: address.entity, id: address.id }, before, clock)
    const old = this.#rights.grant(address.id, before)
    // Nobody had it any more.
    const stood = old !== undefined && (old.expires_at === null || Date.parse(old.expires_at) > Date.parse(at) + WAITED_MS) ? old : undefined
    if (operation === "DELETE") return old === undefined || this.#rights.mayGive(user, old, stood?.level ?? "VIEW", new Date(0).toISOString(), before, clock)
    const row = JSON.parse(body) as GrantRow
    // One grant must do for both levels: the higher of them.
    return this.#rights.mayGive(user, row, row.level, row.expires_at, before, clock) && (stood === undefined || this.#rights.mayGive(user, row, stood.level, row.expires_at, before, clock))
  }

  #fail({ name, user, step }: Who, what: string, key: string | null, seq: number): void {
    const lines = [`step ${step}, ${name} (${user}): ${what}`]
    if (this.#wrong.length < DESCRIBED) {
      if (key !== null) lines.push(...this.#history.around(key, seq).map((line) => `    ${key} ${line}`))
      lines.push(...this.#rights.around(user, seq).map((line) => `    ${user} ${line}`))
    }
    this.#wrong.push(lines.join("\n"))
  }
}

interface Who {
  readonly name: string
  readonly user: string
  readonly step: number
}

/** Violations that are told with their whole history; one mistake shows in many places. */
const DESCRIBED = 5

const shape = /^1\.[^.]+\.([0-9a-z]+)(?:-([0-9a-z]+))?\.[^*]*(\*.*)?$/
const parseCursor = (text: string): Cursor | null => {
  const match = shape.exec(text)
  if (match === null) return null
  const seq = Number.parseInt(match[1]!, 36)
  return { seq, access: match[2] === undefined ? seq : Number.parseInt(match[2], 36), partial: match[3] !== undefined }
}

const keyOf = ({ entityCode, entityId }: Told): string => `${entityCode}/${entityId}`
const placeOf = ({ scope, entityCode, entityId }: Told): Place => ({ scope, entity: entityCode, id: entityId })
const clockOf = ({ timestamp }: Told): number => Date.parse(timestamp) - LATE_MS

const isOwner = ({ principal, scope, entity, entity_id, level }: GrantRow, user: string, opened: string): boolean =>
  principal === `user:${user}` && scope === opened && entity === null && entity_id === null && level === "OWNER"

const isAsked = ({ entity, scopes, ids }: Asked, at: Place): boolean =>
  entity === at.entity && (scopes === null || (at.scope !== null && scopes.includes(at.scope))) && (ids === null || ids.includes(at.id))

const saysTheSame = (change: Told, message: LogMessage): boolean =>
  message.address.entity === change.entityCode &&
  message.address.id === change.entityId &&
  message.address.scope === change.scope &&
  (message.operation === "READ" ? "INSERT" : message.operation) === change.operation &&
  message.at === change.timestamp &&
  message.user === change.by &&
  (message.mutation ?? undefined) === change.mutationId &&
  isDeepStrictEqual(change.data, message.body === "" ? null : JSON.parse(message.body))
