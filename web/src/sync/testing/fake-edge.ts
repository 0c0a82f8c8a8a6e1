/**
 * An edge in memory, for tests: a log, access by scope, and connections that are told what the protocol says, as frames (text). It is
 * the simplest thing that keeps the promises of services/edge, written a second way; what it holds is the truth that replicas are compared with.
 */
import type { Change, Down } from "#protocol/down.ts"
import type { MutationResult } from "#protocol/mutation.ts"
import type { Up } from "#protocol/up.ts"
import type { OpenSocket, Socket, SocketEvents } from "../socket.ts"
import type { Row } from "../store.ts"
import { documentKey } from "../store.ts"

interface Pair {
  readonly entity: string
  readonly scope: string
}

/** A cursor: `held` in full as of `seq`, some of `partial`. */
interface Place {
  readonly epoch: number
  readonly seq: number
  readonly held: ReadonlyArray<Pair>
  readonly partial: ReadonlyArray<Pair>
}

interface Connection {
  readonly events: SocketEvents
  open: boolean
  asked: ReadonlyArray<string>
  position: number
  held: ReadonlyArray<Pair>
  partial: ReadonlyArray<Pair>
  /** Frames on their way. */
  readonly wire: Array<Down>
  subscribed: boolean
}

/** What becomes of the frames on their way to a client: all of them, unless a test says otherwise. */
export type Network = (frames: ReadonlyArray<Down>) => { readonly frames: ReadonlyArray<Down>; readonly cut: boolean }

export interface FakeEdgeOptions {
  /** Changes in one frame of a catch-up. */
  readonly page?: number
  readonly network?: Network
}

export class FakeEdge {
  #epoch = 1
  #log: Array<Change> = []
  #seq = 0
  /** Scopes that may be seen, by the sequence from which on. */
  #access: Array<{ readonly seq: number; readonly scopes: ReadonlySet<string> }> = [{ seq: 0, scopes: new Set(["p1", "p2"]) }]
  readonly #connections = new Set<Connection>()
  readonly #answers = new Map<string, MutationResult>()
  readonly #page: number
  network: Network
  /** While false, connections are refused and none is there. */
  reachable = true
  token = "good"
  /** Every frame that came from clients. */
  readonly received: Array<Up> = []
  /** Mutations are kept unanswered while true. */
  holdMutations = false
  #heldBack: Array<() => void> = []

  constructor({ page = 3, network = (frames) => ({ frames, cut: false }) }: FakeEdgeOptions = {}) {
    this.#page = page
    this.network = network
  }

  get connections(): number {
    return this.#connections.size
  }

  readonly openSocket: OpenSocket = (_url, events): Socket => {
    const connection: Connection = { events, open: true, asked: [], position: 0, held: [], partial: [], wire: [], subscribed: false }
    queueMicrotask(() => {
      if (!connection.open) return
      if (!this.reachable) return this.#end(connection, 1006)
      this.#connections.add(connection)
      events.onOpen()
    })
    return {
      send: (text) => this.#receive(connection, JSON.parse(text) as Up),
      close: () => {
        connection.open = false
        this.#connections.delete(connection)
      },
    }
  }

  // --- what happens in Postgres ---

  /** One transaction. `data` null deletes. */
  write(changes: ReadonlyArray<{ entity: string; id: string; scope: string; data: Row | null; by?: string; mutationId?: string }>): void {
    const from = this.#seq
    for (const { entity, id, scope, data, by = "someone", mutationId } of changes) {
      this.#seq++
      this.#log.push({
        entityCode: entity, entityId: id, scope, version: this.#seq, data, by, operation: data === null ? "DELETE" : "UPDATE", timestamp: new Date(this.#seq).toISOString(),
        ...(mutationId === undefined ? {} : { mutationId }),
      })
    }
    const allowed = this.#allowedAt(this.#seq)
    for (const connection of this.#connections) {
      if (!connection.subscribed) continue
      const seen = this.#log.filter((c) => c.version > from && connection.asked.includes(c.entityCode) && allowed.has(c.scope!))
      if (seen.length > 0) this.#move(connection, this.#seq, seen)
      this.#deliver(connection)
    }
  }

  /** Access changes at a sequence of its own. */
  allow(scopes: ReadonlyArray<string>): void {
    this.#seq++
    this.#access.push({ seq: this.#seq, scopes: new Set(scopes) })
    for (const connection of this.#connections) {
      if (!connection.subscribed) continue
      this.#retarget(connection)
      this.#live(connection)
      this.#deliver(connection)
    }
  }

  /** The stream lost its tail: what was numbered is numbered anew, and everybody starts over. */
  newEpoch(): void {
    this.#epoch++
    this.disconnect(1006)
    const rows = [...this.#latest().values()].filter((c) => c.data !== null)
    this.#seq = 0
    this.#log = rows.map((c) => ({ ...c, version: ++this.#seq }))
    this.#access = [{ seq: 0, scopes: this.#access.at(-1)!.scopes }]
  }

  heartbeat(): void {
    for (const connection of this.#connections) {
      if (!connection.subscribed) continue
      this.#beat(connection, this.#seq)
      this.#deliver(connection)
    }
  }

  disconnect(code = 1006): void {
    for (const connection of this.#connections) this.#end(connection, code)
  }

  answerMutations(): void {
    this.holdMutations = false
    for (const answer of this.#heldBack.splice(0)) answer()
  }

  /** To every connection, as it is. */
  say(frame: Down): void {
    for (const connection of this.#connections) {
      connection.wire.push(frame)
      this.#deliver(connection)
    }
  }

  /** What a client that asks for `entities` must hold: key to version and row. */
  truth(entities: ReadonlyArray<string>): ReadonlyMap<string, { readonly version: number; readonly data: Row }> {
    const allowed = this.#allowedAt(this.#seq)
    const rows = new Map<string, { version: number; data: Row }>()
    for (const c of this.#latest().values()) {
      if (c.data !== null && entities.includes(c.entityCode) && allowed.has(c.scope!)) rows.set(documentKey(c.entityCode, c.entityId), { version: c.version, data: c.data })
    }
    return rows
  }

  // --- the wire ---

  #receive(connection: Connection, frame: Up): void {
    this.received.push(frame)
    queueMicrotask(() => {
      if (!connection.open) return
      this.#handle(connection, frame)
      this.#deliver(connection)
    })
  }

  #handle(connection: Connection, frame: Up): void {
    switch (frame.type) {
      case "AUTH":
        if (frame.payload.token !== this.token) return this.#end(connection, 4001)
        return this.#send(connection, { type: "AUTH_SUCCESS", payload: { userId: "ada", connectionId: "c", expiresAt: "2099-01-01T00:00:00Z" } })
      case "SUBSCRIBE":
        this.#send(connection, { type: "SUBSCRIBED", payload: { count: 1 } })
        return this.#subscribe(connection, frame.payload.subscriptions!.map((s) => s.entityCode), frame.payload.cursor)
      case "UNSUBSCRIBE":
        this.#send(connection, { type: "SUBSCRIBED", payload: { count: 1 } })
        connection.asked = connection.asked.filter((e) => e !== frame.payload.entityCode)
        this.#retarget(connection)
        return this.#live(connection)
      case "MUTATE":
        for (const mutation of frame.payload.mutations) {
          const answer = (): void => {
            const result = this.#apply(mutation)
            this.#send(connection, { type: "MUTATED", payload: { results: [result] } })
            this.#deliver(connection)
          }
          if (this.holdMutations) this.#heldBack.push(answer)
          else answer()
        }
        return
      case "PING":
        return this.#send(connection, { type: "PONG", payload: {} })
      default:
        return
    }
  }

  #subscribe(connection: Connection, more: ReadonlyArray<string>, cursor: string | undefined): void {
    connection.asked = [...new Set([...connection.asked, ...more])]
    if (!connection.subscribed) {
      connection.subscribed = true
      const place = cursor === undefined ? null : (JSON.parse(cursor) as Place)
      if (place !== null && place.epoch !== this.#epoch) this.#send(connection, { type: "RESET", payload: { reason: "another epoch" } })
      else if (place !== null) {
        connection.position = place.seq
        connection.held = place.held
        connection.partial = place.partial
      }
    }
    this.#retarget(connection)
    const missed = this.#after(connection.position, connection.held)
    for (let i = 0; i < missed.length; i += this.#page) {
      const page = missed.slice(i, i + this.#page)
      this.#move(connection, page.at(-1)!.version, page, { done: Math.min(i + this.#page, missed.length), of: missed.length })
    }
    this.#live(connection)
  }

  /** Tells what is lost, gives what is gained as of the position. Before either, a cursor says that neither is to be counted on. */
  #retarget(connection: Connection): void {
    const { position } = connection
    const target = this.#pairs(connection.asked)
    if (position === 0) {
      connection.held = target
      return
    }
    const has = (pairs: ReadonlyArray<Pair>, p: Pair) => pairs.some((q) => q.entity === p.entity && q.scope === p.scope)
    const lost = [...connection.held, ...connection.partial].filter((p) => !has(target, p))
    const gained = target.filter((p) => !has(connection.held, p))
    if (lost.length + gained.length === 0) return
    connection.held = connection.held.filter((p) => has(target, p))
    connection.partial = [...lost, ...gained]
    this.#beat(connection, position)
    for (const { entity, scope } of lost) this.#send(connection, { type: "ACCESS_REVOKED", payload: { entityCode: entity, scope } })
    const state = [...this.#latest().values()].filter(
      (c) => (c.data !== null || c.version > position) && gained.some((p) => p.entity === c.entityCode && p.scope === c.scope),
    )
    for (let i = 0; i < state.length; i += this.#page) {
      const changes = state.slice(i, i + this.#page)
      this.#send(connection, { type: "CHANGES", payload: { from: position, to: position, cursor: this.#cursor(connection), changes, more: true } })
    }
    connection.held = target
    connection.partial = []
  }

  #after(position: number, view: ReadonlyArray<Pair>): ReadonlyArray<Change> {
    return [...this.#latest().values()]
      .filter((c) => c.version > position && view.some((p) => p.entity === c.entityCode && p.scope === c.scope))
      .sort((a, b) => a.version - b.version)
  }

  #apply(mutation: { id: string; entityCode: string; entityId: string; op: string; base?: Row; data?: Row }): MutationResult {
    const known = this.#answers.get(mutation.id)
    if (known !== undefined) return known
    const { id, entityCode: entity, entityId, op, base = {}, data = {} } = mutation
    const row = [...this.#latest().values()].find((c) => c.entityCode === entity && c.entityId === entityId && c.data !== null)
    const current = row?.data ?? null
    const clash = Object.keys(data).some((f) => JSON.stringify(current?.[f] ?? null) !== JSON.stringify(base[f] ?? null))
    const allowed = this.#allowedAt(this.#seq)
    const scope = row?.scope ?? (typeof data["scope"] === "string" ? data["scope"] : "p1")
    let result: MutationResult
    if (!allowed.has(scope)) result = { id, status: "denied" }
    else if (data["title"] === "bad") result = { id, status: "invalid", message: "title must not be bad" }
    else if (op === "update" && (current === null || clash)) result = { id, status: "conflict", current }
    else {
      result = { id, status: "applied" }
      this.write([{ entity, id: entityId, scope, data: op === "delete" ? null : { ...current, ...data }, by: "ada", mutationId: id }])
    }
    this.#answers.set(id, result)
    return result
  }

  #live(connection: Connection): void {
    const from = connection.position
    connection.position = this.#seq
    this.#send(connection, { type: "LIVE", payload: { from, to: this.#seq, cursor: this.#cursor(connection) } })
  }

  #beat(connection: Connection, to: number): void {
    const from = connection.position
    connection.position = to
    this.#send(connection, { type: "HEARTBEAT", payload: { from, to, cursor: this.#cursor(connection), lagMs: 0 } })
  }

  #move(connection: Connection, to: number, changes: ReadonlyArray<Change>, progress?: { done: number; of: number }): void {
    const from = connection.position
    connection.position = to
    this.#send(connection, {
      type: "CHANGES",
      payload: { from, to, cursor: this.#cursor(connection), changes: [...changes], ...(progress === undefined ? {} : { more: true, progress }) },
    })
  }

  #cursor({ position, held, partial }: Connection): string {
    return JSON.stringify({ epoch: this.#epoch, seq: position, held, partial } satisfies Place)
  }

  #send(connection: Connection, frame: Down): void {
    connection.wire.push(frame)
  }

  #deliver(connection: Connection): void {
    const { frames, cut } = this.network(connection.wire.splice(0))
    for (const frame of frames) {
      if (!connection.open) return
      connection.events.onText(JSON.stringify(frame))
    }
    if (cut) this.#end(connection, 1006)
  }

  #end(connection: Connection, code: number): void {
    this.#connections.delete(connection)
    if (!connection.open) return
    connection.open = false
    connection.events.onClose(code, "")
  }

  #pairs(asked: ReadonlyArray<string>): ReadonlyArray<Pair> {
    return asked.flatMap((entity) => [...this.#allowedAt(this.#seq)].map((scope) => ({ entity, scope })))
  }

  #allowedAt(seq: number): ReadonlySet<string> {
    return this.#access.findLast((a) => a.seq <= seq)!.scopes
  }

  /** The newest change at every address: a row that moved to another scope is a deletion at the old one. */
  #latest(): ReadonlyMap<string, Change> {
    const latest = new Map<string, Change>()
    for (const change of this.#log) latest.set(`${change.scope}|${documentKey(change.entityCode, change.entityId)}`, change)
    return latest
  }
}

